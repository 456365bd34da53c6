from synthgan import datasets


def test_adult_is_complete_and_as_published():
    train, test = datasets.load_adult()
    assert (train.shape, test.shape) == ((32561, 15), (16281, 15))
    assert (train["income"] == ">50K").sum() == 7841
    assert (test["income"] == ">50K").sum() == 3846
    assert round(train["age"].mean(), 2) == 38.58
    assert train["workclass"].isna().sum() == 1836
    assert test.isna().sum()[["workclass", "occupation", "native_country"]].tolist() == [963, 966, 274]
    assert train.dtypes.equals(test.dtypes)


def test_each_call_returns_a_fresh_frame():
    train, _ = datasets.load_adult()
    train["age"] = 0
    assert datasets.load_adult()[0]["age"].min() == 17
