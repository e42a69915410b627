//! toolcell agent
