//! Everything of toolcell that listens on HTTP.
