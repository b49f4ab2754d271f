//! HTTP+SSE, the transport of 2024-11-05: servers that speak nothing else, and clients that do.

mod clients;
mod servers;
