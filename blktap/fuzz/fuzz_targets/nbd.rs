#![no_main]
blktap_fuzz::target!(testkit::fuzz::nbd::run);
