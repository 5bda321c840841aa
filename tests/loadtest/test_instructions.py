import pytest

from loadtest.instructions import counted


def test_callgrinds_count_is_read() -> None:
    assert counted("==7== Events    : Ir\n==7== Collected : 123456\n==7==\n") == 123456


@pytest.mark.parametrize("said", ["==7== Collected : 0\n", "Segmentation fault\n"])
def test_no_count_is_an_error(said: str) -> None:
    with pytest.raises(ValueError, match="counted nothing"):
        counted(said)
