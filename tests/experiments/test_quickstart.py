import pytest

from tests.helpers import programs


def test_it_prints_a_table_and_draws_a_figure(tmp_path):
    done = programs.run("quickstart", "--epochs=1", "--seeds=1,2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "finetune - pretrain" in done.stdout
    assert "What to run next" in done.stdout
    assert (tmp_path / "quickstart_results" / "quickstart.png").is_file()


@pytest.mark.parametrize("seeds", ["", "1,1", "one", "-1"])
def test_unusable_seeds_are_refused(seeds):
    programs.assert_refused(programs.run("quickstart", f"--seeds={seeds}"), "--seeds")
