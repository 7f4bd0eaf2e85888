"""Which cases of upstream's suite a node runs, and what they are called."""

import pytest

from tests.e2e.upstream.driver import Case, _label, _skipped


class Cluster:
    """A parameter of the suite."""

    def __init__(self, mode: str, size: int) -> None:
        self.cluster_mode = mode
        self.cluster_size = size


@pytest.mark.parametrize(
    ("name", "mode", "size", "reason"),
    [
        ("single_node_multi_container_creation", "single-node", 2, ""),
        ("single_node_multi_container_endpoint", "single-node", 3, "needs 3 cores"),
        ("single_node_session_rename_fail_duplicated_name", "single-node", 2, "needs 4 cores"),
        ("single_node_session_rename_fail_duplicated_name", "single-node", 1, ""),
        ("replicas_successfully_scale[single-node-1]", "single-node", 1, "needs 3 cores"),
        ("multi_node_multi_container_creation", "multi-node", 4, "needs two agents"),
        ("replicas_scale[multi-node-3]", "multi-node", 3, "needs two agents"),
        # It has the parameter, and makes a session of one container.
        ("creation_with_vfolder_mounts", "multi-node", 4, ""),
    ],
)
def test_what_a_node_has_no_room_for_is_skipped(
    name: str, mode: str, size: int, reason: str
) -> None:
    case = Case(name=name, spec=None, parameters={"cluster": Cluster(mode, size)})
    assert _skipped(case, 2, 1) == reason


def test_labels_tell_parameters_apart() -> None:
    assert _label({"permission": "rw"}, 0) == "rw"
    assert _label({"cluster": Cluster("single-node", 3)}, 1) == "single-node-3"
    assert _label({"files": []}, 1) == "1"
