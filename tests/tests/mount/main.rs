//! The program's mount of a real Samba, used by an ordinary user with the tools that people use.

#![forbid(unsafe_code)]
#![cfg(unix)]

mod agent;
mod coherence;
mod commands;
mod contract;
mod control;
mod copying;
mod elsewhere;
mod exec;
mod help;
mod identity;
mod interrupts;
mod leases;
mod leftovers;
mod lifecycle;
mod links;
mod locks;
mod memory;
mod model;
mod newer;
mod posix;
mod programs;
mod reconnect;
mod secrets;
mod semantics;
mod shell;
mod tools;
mod transfer;
mod trouble;
mod tuning;
mod watching;
