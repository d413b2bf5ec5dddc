#![no_main]
blktap_fuzz::target!(testkit::fuzz::frames::run);
