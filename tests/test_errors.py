import pytest

from synthgan import errors


def test_every_error_is_a_synthgan_error_and_a_builtin():
    classes = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
    assert len(classes) >= 6
    for error in classes:
        assert issubclass(error, errors.SynthganError)
    assert issubclass(errors.TrainingDivergedError, RuntimeError)
    for error in (errors.DataError, errors.ParameterError, errors.ConditionError, errors.ModelFileError):
        assert issubclass(error, ValueError)


@pytest.mark.parametrize(
    ("names", "text"),
    [([], ""), (["a"], "'a'"), ([1, "1"], "1, '1'"), ("abcdef", "'a', 'b', 'c', 'd', 'e', ... (6 in all)")],
)
def test_listing_quotes_a_few_names(names, text):
    assert errors.listing(names) == text


@pytest.mark.parametrize(("name", "near"), [("Age", "age"), ("incme", "income"), (10, 100)])
def test_suggestion_finds_the_name_that_was_meant(name, near):
    assert errors.suggestion(name, ["age", "income", 100]) == f" Did you mean {near!r}?"


def test_suggestion_is_silent_when_nothing_is_near():
    assert errors.suggestion("zzz", ["age", "income"]) == ""
