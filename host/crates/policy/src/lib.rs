//! toolcell policy
