//! Texts of `--help`. The legacy usage lines, which scripts may compare, are with their commands.

/// `vhd-util --help`.
pub(crate) const MAIN: &str = "\
Create and inspect VHD images

usage: vhd-util COMMAND [OPTIONS]
       vhd-util COMMAND --help

Commands:
  create    Create an image
  query     Print properties of an image, one per line
  read      Print the headers of an image (-p)
  snapshot  Create an image on top of another

Commands of blktap's vhd-util that this version does not have yet (exit status 95):
  set repair resize fill coalesce modify scan check revert key copy

Results go to standard output, in the format of blktap 4; explanations go to standard error.
The exit status is 0 or the Linux error number of the first failure (22 for wrong usage).
--debug is accepted after COMMAND and ignored.

Examples:
  vhd-util create -n disk.vhd -s 10240
  vhd-util query -n disk.vhd -v -s -p
";

/// `vhd-util create --help`.
pub(crate) const CREATE: &str = "\
Create an image

usage: vhd-util create -n FILE -s MIB [-S MIB] [-r]

  -n FILE  The image: a new file, an existing one (its content is lost) or a block device
  -s MIB   Size of the disk in MiB, rounded up to 2 MiB; at most 2097152 (2 TiB)
  -S MIB   Reserve tables for a disk of this size, so that it can grow to it quickly later; not with -r
  -r       Reserve all space now: a fixed disk instead of a dynamic one
  --help   Print this text

When it fails, a file that was not there before is removed again.

Examples:
  vhd-util create -n disk.vhd -s 10240
  vhd-util create -n /dev/VG/LV -s 10240 -S 2097152
";

/// `vhd-util query --help`.
pub(crate) const QUERY: &str = "\
Print properties of an image, one per line

usage: vhd-util query -n FILE [-v] [-s] [-p [-u]] [-f] [-m] [-d] [-a] [-S]

Lines come in this order, whatever the order of the options:
  -v       Size of the disk in MiB
  -s       Bytes that the image takes, tables and footer included
  -p       Path of the parent, or `FILE has no parent`
  -f       `hidden: N`, 1 for a base copy that no machine uses
  -m       `marker: N`, a number that toolstacks keep in the image
  -d       `chain depth: N`, how many images are stacked, this one included
  -a       How many blocks are allocated
  -S       Size in MiB that the disk can grow to quickly

  -u       With -p: print the parent's path as it is stored, without looking for it
  --help   Print this text

A property that cannot be read gets an error in its line; the others are still printed.

Example:
  vhd-util query -n disk.vhd -vsp
";

/// `vhd-util read --help`.
pub(crate) const READ: &str = "\
Print the headers of an image

usage: vhd-util read -n FILE -p

  -p       Print footer, header, parent locators and batmap header; times are local
  --help   Print this text

Of an image that cannot be opened, footer and header are printed as they are, with `(Bad!)` at wrong checksums.

Options of blktap's vhd-util that this version does not have yet (exit status 95):
  -t -b -B -m -i -e -a -j -d -c -r -R -x -C

Example:
  vhd-util read -n disk.vhd -p
";

/// `vhd-util snapshot --help`.
pub(crate) const SNAPSHOT: &str = "\
Create an image on top of another

usage: vhd-util snapshot -n FILE -p PARENT [-m] [-e] [-l LIMIT] [-S MIB]

  -n FILE    The new image; what it does not hold is read from its parent. A file that exists loses its content
  -p PARENT  The parent. A parent that is itself a snapshot and holds nothing is left out of the chain
  -m         The parent is a raw disk, not a VHD
  -e         Keep the parent in the chain even if it holds nothing
  -l LIMIT   Fail with status 28 when the chain would have more images than this
  -S MIB     Reserve tables for a disk of this size, so that it can grow to it quickly later
  --help     Print this text

The path to the parent is stored relative to the directory of FILE: move both, or neither. Do not write to PARENT as
long as it has children.

Examples:
  vhd-util snapshot -n today.vhd -p base.vhd
  vhd-util snapshot -n /dev/VG/LEAF -p /dev/VG/BASE -S 2097152
";
