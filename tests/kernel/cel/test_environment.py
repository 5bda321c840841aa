from tests.kernel.cel.language import outcome, refused


def test_members_are_those_that_are_declared() -> None:
    assert outcome("thing.name == 'x'", name="x") is True
    assert outcome("thing['name'] == 'x'", name="x") is True
    assert outcome("thing.inner.sub == 'x'", claims={"sub": "x"}) is True
    assert refused("thing.nam == 'x'") == ("there is no 'nam' here: did you mean 'name'?", 1, 7)
    assert refused("thing.zzz == 'x'") == ("there is no 'zzz' here: there are name, inner", 1, 7)
    assert refused("claim.sub == 'x'") == ("there is no 'claim' here: did you mean 'claims'?", 1, 1)


def test_names_are_literals() -> None:
    message = "names are literals here: write the name in quotes"
    assert refused("claims[text] == 'x'")[0] == message
    assert refused("text in claims")[0] == message
    assert refused("thing[0] == 'x'")[0] == message
    assert refused("a[text] == 'x'")[0] == "names are literals here, and positions are ints"


def test_presence_can_be_asked() -> None:
    assert outcome("has(claims.sub)", claims={"sub": None}) is True
    assert outcome("has(claims.sub)", claims={}) is False
    assert outcome("has(claims['x-y'])", claims={"x-y": 1}) is True
    assert outcome("'sub' in claims", claims={}) is False
    assert outcome("has(thing.inner)", claims={}) is False
    assert outcome("has(thing.inner)", claims={"sub": 1}) is True


def test_a_record_is_a_map_as_a_whole() -> None:
    assert outcome("size(claims) == 1 && claims == {'sub': 'x'}", claims={"sub": "x"}) is True
    assert outcome("claims == {}") is True
