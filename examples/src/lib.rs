//! Examples of Treewarden, numbered as a path from hello to a cluster.
