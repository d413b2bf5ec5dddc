#![no_main]
blktap_fuzz::target!(testkit::fuzz::cbt::run);
