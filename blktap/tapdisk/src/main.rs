//! The program `tapdisk`.

fn main() -> std::process::ExitCode {
    tapdisk::run()
}
