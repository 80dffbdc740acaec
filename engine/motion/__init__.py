"""Motion values: rotations, the skeleton, the face basis, poses and their channels."""
