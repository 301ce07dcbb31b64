//! What the program remembers: credentials and mounts, as an ordinary user without a desktop has it.

#![forbid(unsafe_code)]
#![cfg(unix)]

mod credentials;
mod doctor;
mod doctor_gates;
mod fstab;
mod helper;
mod home;
mod install;
mod keyring;
mod persistence;
mod secrets;
mod store;
