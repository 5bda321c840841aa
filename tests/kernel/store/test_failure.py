import pytest

from gateway.kernel.store.failure import refused


@pytest.mark.parametrize(
    ("reply", "text", "sick"),
    [
        ("LOADING Redis is loading the dataset in memory", "Redis answers LOADING", True),
        ("READONLY You can't write against a read only replica. script: 7, on @user_script:3", "READONLY", True),
        ("OOM command not allowed when used memory > 'maxmemory'.", "OOM", True),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", "WRONGTYPE", False),
        ("ERR Error running script (call to f_7): @user_script:1: -READONLY You can't", "READONLY", True),
        ("ERR Error running script (call to f_7): @user_script:1: OOM command not allowed", "OOM", True),
        ("ERR unknown command 'EVALSHA', with args beginning with: 'identity'", "ERR", False),
        ("alice is not welcome", "an error", False),
        ("", "an error", False),
    ],
)
def test_of_an_error_reply_only_the_code_is_kept(reply: str, text: str, sick: bool) -> None:
    trouble = refused(Exception(reply))
    assert text in str(trouble)
    assert len(str(trouble).split()) <= 4
    assert trouble.sick is sick
