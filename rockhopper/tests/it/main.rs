//! The binary as a person or a supervisor sees it: started, talked to, stopped, started again.

mod config;
mod faults;
mod look;
mod process;
mod serve;
