//! cli
pub fn main() -> crate::exit_code::ExitCode {
    crate::exit_code::ExitCode::Failed
}
