//! Texts of `--help`. The legacy usage lines, which scripts may compare, are with their commands.

/// `vhd-util --help`.
pub(crate) const MAIN: &str = "\
Create, inspect and change VHD images

usage: vhd-util COMMAND [OPTIONS]
       vhd-util COMMAND --help

Commands:
  check     Find every fault of an image
  create    Create an image
  query     Print properties of an image, one per line
  read      Print the headers of an image (-p)
  repair    Write both footers anew
  scan      Print one line per image, or the tree of images and their parents
  snapshot  Create an image on top of another
  set       Set the hidden flag or the marker
  modify    Give an image another parent or physical size, or drop its data
  fill      Give every block of a disk a place

Commands of blktap's vhd-util that this version does not have yet (exit status 95):
  resize coalesce revert key copy

Results go to standard output, in the format of blktap 4; explanations go to standard error.
The exit status is 0 or the Linux error number of the first failure (22 for wrong usage).
--debug is accepted after COMMAND and ignored.

Examples:
  vhd-util create -n disk.vhd -s 10240
  vhd-util query -n disk.vhd -v -s -p
";

/// `vhd-util check --help`.
pub(crate) const CHECK: &str = "\
Find every fault of an image

usage: vhd-util check -n FILE [-i] [-I] [-t] [-p] [-b] [-s] [-B] [--json]

  -n FILE  The image
  -p       Check its parents too
  -b       Look for data where bitmaps say there is none; reads all data
  -s       Print how many sectors are allocated and written instead of `FILE is valid`
  -i       A missing or damaged footer at the end is no fault
  -I       A parent with another identity is no fault
  -t       A creation time in the future is no fault
  -B       Overlapping blocks are no fault; not with -s or -b
  --json   Print one line of JSON per image with all faults, and nothing else
  --help   Print this text

The first fault is printed on standard output, all others on standard error. Of a fixed disk only the footer is checked,
and nothing is printed where it is right. The exit status is 0, or the error number of the first fault (mostly 22).

Example:
  vhd-util check -n disk.vhd -p
";

/// `vhd-util scan --help`.
pub(crate) const SCAN: &str = "\
Print one line per image, or the tree of images and their parents

usage: vhd-util scan [-m PATTERN] [-f] [-c] [-a] [-p] [-v] [-M] [--json] [FILE]...

  FILE        An image
  -m PATTERN  Images whose names match, like '/sr/*.vhd'; quote it, so that the shell leaves it alone
  -f          Fast: print the parent as it is stored, without looking for it
  -c          Go on after an image that cannot be read; the exit status is then 0
  -a          Scan parents too, wherever they are
  -p          Print a tree: children below their parents
  -v          Print paths instead of names
  -M          Print markers and hashes of keys
  --json      Print one line of JSON per image
  --help      Print this text

An image gives `vhd=NAME capacity=BYTES size=BYTES hidden=N parent=NAME|none`, one that cannot be read
`vhd=NAME scan-error=-ERRNO error-message='TEXT'`. Images are read in parallel and printed in order.

Option of blktap's vhd-util that this version does not have yet (exit status 38): -l

Example:
  vhd-util scan -f -c -m '/sr/*.vhd'
";

/// `vhd-util repair --help`.
pub(crate) const REPAIR: &str = "\
Write both footers anew

usage: vhd-util repair -n FILE [-b]

  -n FILE  The image
  -b       Trust the copy of the footer at the start, not the footer at the end
  --help   Print this text

The footer goes to where tables and blocks end; what lies behind it is cut off. Nothing else is changed.

Example:
  vhd-util repair -n disk.vhd && vhd-util check -n disk.vhd
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

/// `vhd-util set --help`.
pub(crate) const SET: &str = "\
Set the hidden flag or the marker of an image

usage: vhd-util set -n FILE -f FIELD -v VALUE

  -n FILE   The image
  -f FIELD  `hidden`: 1 for a base copy that no machine uses. `marker`: a number that toolstacks keep in the image
  -v VALUE  From 0 to 255
  --help    Print this text

Examples:
  vhd-util set -n base.vhd -f hidden -v 1
";

/// `vhd-util modify --help`.
pub(crate) const MODIFY: &str = "\
Give an image another parent or physical size, or drop its data

usage: vhd-util modify -n FILE [-p PARENT [-m]] [-s BYTES] [-z]

  -n FILE    The image
  -p PARENT  Read from this image what FILE does not hold. Its data must be what the old parent's was
  -m         PARENT is a raw disk, not a VHD
  -s BYTES   Write the footer at the end of this many bytes, before or after the volume gets this size
  -z         Drop all data of FILE: every block reads from the parent, or zero
  --help     Print this text

A crash while the parent is changed leaves the old parent or the new one.

Examples:
  vhd-util modify -n leaf.vhd -p base.vhd
  vhd-util modify -n /dev/VG/LV -s 4194304
";

/// `vhd-util fill --help`.
pub(crate) const FILL: &str = "\
Give every block of a disk a place, with the data that it reads now

usage: vhd-util fill -n FILE

  -n FILE  The image; what its parents hold is copied into it
  --help   Print this text

Examples:
  vhd-util fill -n disk.vhd
";
