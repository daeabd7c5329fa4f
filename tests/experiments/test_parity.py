from experiments.support.parity import checks
from tests.helpers import programs


def test_a_dry_run_names_the_checks_of_a_network():
    done = programs.run("parity", "--models=resnet18", "--dry_run")
    assert done.returncode == 0
    names = done.stdout.split()
    assert "resnet18-training" in names
    assert "pixels" in names
    assert set(names) < set(checks.CHECKS)


def test_networks_without_checks_are_refused():
    done = programs.run("parity", "--models=resnet34")
    programs.assert_refused(done, "Allowed: resnet18, resnet50")
