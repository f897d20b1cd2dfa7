//! The command line: what was asked, done, and told by the exit code.

mod cli;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    let done = cli::logging::start(args.verbose).and_then(|()| run(args.command));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            eprintln!("roomreel: {exit}");
            exit.code()
        }
    }
}

fn run(command: Command) -> Result<(), cli::Exit> {
    match command {
        Command::Record(record) => cli::record::run(*record),
        Command::Serve(serve) => cli::serve::run(serve),
        Command::Token(token) => cli::token::run(token),
        Command::Backup(backup) => cli::backup::run(backup),
        Command::BugReport(report) => cli::bug_report::run(report),
        Command::Doctor(doctor) => cli::doctor::run(doctor),
        Command::Health(health) => cli::health::run(health),
        Command::Config(config) => cli::config::run(config),
        Command::Storage(storage) => cli::storage::run(storage),
        Command::Upload(upload) => cli::upload::run(upload),
        Command::Salvage(salvage) => cli::salvage::run(salvage),
        Command::Demo(demo) => cli::demo::run(demo),
        Command::Completions(which) => cli::reference::completions(&which),
        Command::Man(man) => cli::reference::man(&man),
        Command::Recorder(recorder) => cli::recorder::run(recorder),
        Command::Stills(stills) => cli::stills::run(stills),
        Command::Encoders(encoders) => cli::encoders::run(&encoders),
        Command::EncoderCheck(check) => cli::encoders::check(&check),
    }
}
