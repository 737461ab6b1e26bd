//! The binary: hands the command line to `cli` and its answer to the operating system.

fn main() -> std::process::ExitCode {
    bkp::cli::main().into()
}
