//! `set`: the hidden flag.

use snapbox::str;

use crate::bench::Bench;
use crate::sample::dynamic;

#[test]
fn the_hidden_flag_is_set_and_taken_back() {
    let bench = Bench::with(&[("a.vhd", &dynamic(64))]);
    for value in ["1", "0", "7"] {
        bench.run(["set", "vhd", "a.vhd", "hidden", value]).code(0).stdout_eq("").stderr_eq("");
        bench.run(["query", "vhd", "-f", "a.vhd"]).code(0).stdout_eq(format!("hidden: {value}\n"));
    }
}

#[test]
fn wrong_values_get_the_usage_of_vhd_util_as_in_c() {
    let bench = Bench::with(&[("a.vhd", &dynamic(64))]);
    for value in ["256", "-1"] {
        let stdout = format!("invalid value {value}\noptions: <-n name> <-f field> <-v value> [-h help]\n");
        bench.run(["set", "vhd", "--", "a.vhd", "hidden", value]).code(22).stdout_eq(stdout).stderr_eq("");
    }
    bench.run(["set", "vhd", "a.vhd", "marker", "1"]).code(22).stdout_eq("").stderr_eq(str![[r#"
Invalid field marker
usage: td-util set vhd [-h help] <FILENAME> <FIELD> <VALUE>
FIELD := { hidden }

"#]]);
    bench.run(["query", "vhd", "-f", "a.vhd"]).code(0).stdout_eq("hidden: 0\n");
}

#[test]
fn what_cannot_be_opened_is_named() {
    Bench::new().run(["set", "vhd", "nope", "hidden", "1"]).code(2).stdout_eq("error opening nope: -2\n");
}
