//! Small meshes, one rule each.
