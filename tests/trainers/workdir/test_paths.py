"""Names in a run's folder."""

from trainers.workdir.paths import Workdir, kimg_label


def test_pictures_sort_by_images_and_are_found_again_by_them(tmp_path):
    counts = [0, 1, 999, 1_000, 20_500, 123_456, 1_000_000]
    assert sorted(kimg_label(n) for n in reversed(counts)) == [kimg_label(n) for n in counts]
    run = Workdir(tmp_path)
    assert run.picture("fake", 123_456) == tmp_path / "samples" / "fake_000123.456kimg.png"
    assert run.pictures(1_000) == []
    run.samples.mkdir()
    names = [*(run.picture("fake", n) for n in counts), run.picture("reals")]
    for path in [*names, run.picture("a_b", 1_000)]:
        path.touch()
    assert run.pictures(1_000) == [run.picture("a_b", 1_000), run.picture("fake", 1_000)]
    assert run.pictures_by_name() == {
        "a_b": {1_000: run.picture("a_b", 1_000)},
        "fake": {n: run.picture("fake", n) for n in counts},
        "reals": {None: run.picture("reals")},
    }
    assert list(run.pictures_by_name()["fake"]) == counts
