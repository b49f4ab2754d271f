//! A listening socket that can be reached when there is no file descriptor left for anybody else.

use std::fs::File;
use std::io;

use super::{Accept, Accepted, Address, BoxFuture};
use crate::descriptors;

/// So many connections can be accepted without a descriptor to be had.
const SPARES: usize = 4;

/// Accepts in the place of descriptors that it keeps for that.
#[derive(Debug)]
pub struct Spared {
    listener: Box<dyn Accept>,
    spares: Vec<File>,
}

impl Spared {
    /// Keeps descriptors for that socket from now on.
    #[must_use]
    pub fn new(listener: Box<dyn Accept>) -> Box<Self> {
        let mut spared = Box::new(Self { listener, spares: Vec::new() });
        spared.refill();
        spared
    }

    fn refill(&mut self) {
        while self.spares.len() < SPARES {
            let Ok(file) = File::open("/dev/null") else { return };
            self.spares.push(file);
        }
    }
}

impl Accept for Spared {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Accepted, Address)>> {
        Box::pin(async move {
            self.refill();
            loop {
                match self.listener.accept().await {
                    Err(error) if descriptors::are_lacking(&error) && self.spares.pop().is_some() => {}
                    accepted => return accepted,
                }
            }
        })
    }

    fn accept_waiting(&mut self) -> io::Result<Option<(Accepted, Address)>> {
        self.listener.accept_waiting()
    }

    fn local(&self) -> Address {
        self.listener.local()
    }
}
