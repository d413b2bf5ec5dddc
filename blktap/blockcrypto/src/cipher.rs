//! AES-XTS over sectors, with the sector's number as plain IV. The cipher itself is in crates; here are only blktap's
//! choices.

use std::fmt;

use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit, consts::U16};
use aes::{Aes128, Aes256};
use xts_mode::Xts128;

use crate::key::{Key, KeyError};

/// The unit of encryption.
pub const SECTOR_BYTES: usize = 512;

/// A key, ready to be used. What it holds is wiped when dropped.
pub struct Cipher(Xts);

enum Xts {
    /// For keys of 256 bits.
    Aes128(Box<Xts128<Aes128>>),
    /// For keys of 512 bits.
    Aes256(Box<Xts128<Aes256>>),
}

impl Cipher {
    /// A key whose halves are equal is refused.
    pub fn new(key: &Key) -> Result<Self, KeyError> {
        let (data, tweak) = key.halves();
        if data == tweak {
            return Err(KeyError::EqualHalves);
        }
        Ok(Cipher(match data.len() {
            16 => Xts::Aes128(Box::new(xts(data, tweak)?)),
            _ => Xts::Aes256(Box::new(xts(data, tweak)?)),
        }))
    }

    /// Encrypts sectors of a disk in place; the first one has this number.
    pub fn encrypt(&self, first: u64, sectors: &mut [[u8; SECTOR_BYTES]]) {
        match &self.0 {
            Xts::Aes128(xts) => each(first, sectors, |sector, iv| xts.encrypt_sector(sector, iv)),
            Xts::Aes256(xts) => each(first, sectors, |sector, iv| xts.encrypt_sector(sector, iv)),
        }
    }

    /// Decrypts sectors of a disk in place; the first one has this number.
    pub fn decrypt(&self, first: u64, sectors: &mut [[u8; SECTOR_BYTES]]) {
        match &self.0 {
            Xts::Aes128(xts) => each(first, sectors, |sector, iv| xts.decrypt_sector(sector, iv)),
            Xts::Aes256(xts) => each(first, sectors, |sector, iv| xts.decrypt_sector(sector, iv)),
        }
    }
}

fn xts<C>(data: &[u8], tweak: &[u8]) -> Result<Xts128<C>, KeyError>
where
    C: KeyInit + BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser<BlockSize = U16>,
{
    let half = |key: &[u8]| C::new_from_slice(key).map_err(|_| KeyError::Length(2 * key.len()));
    Ok(Xts128::new(half(data)?, half(tweak)?))
}

fn each(first: u64, sectors: &mut [[u8; SECTOR_BYTES]], apply: impl Fn(&mut [u8], Array<u8, U16>)) {
    let mut number = first;
    for sector in sectors {
        apply(sector, iv(number));
        number = number.wrapping_add(1);
    }
}

/// The low 32 bits of the sector's number, as `aes-xts-plain` has it: sectors 2 TiB apart have the same.
fn iv(sector: u64) -> Array<u8, U16> {
    let [a, b, c, d, ..] = sector.to_le_bytes();
    let mut iv = Array::default();
    iv[..4].copy_from_slice(&[a, b, c, d]);
    iv
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Xts::Aes128(_) => "Cipher(AES-128-XTS)",
            Xts::Aes256(_) => "Cipher(AES-256-XTS)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes 0 to 255, twice.
    fn counting() -> [u8; SECTOR_BYTES] {
        std::array::from_fn(|at| u8::try_from(at % 256).unwrap())
    }

    fn cipher(key: &[u8]) -> Cipher {
        Cipher::new(&Key::new(key).unwrap()).unwrap()
    }

    fn check(key: &[u8], sector: u64, plain: [u8; SECTOR_BYTES], expected: [u8; SECTOR_BYTES]) {
        // Between two others, so that the numbers count.
        let mut sectors = [[9; SECTOR_BYTES], plain, [9; SECTOR_BYTES]];
        let cipher = cipher(key);
        cipher.encrypt(sector.wrapping_sub(1), &mut sectors);
        assert!(sectors[1] == expected, "sector {sector}");
        cipher.decrypt(sector.wrapping_sub(1), &mut sectors);
        assert!(sectors == [[9; SECTOR_BYTES], plain, [9; SECTOR_BYTES]], "sector {sector}");
    }

    #[test]
    fn vectors_of_ieee_1619_hold() {
        let bytes = |text: &str| base16ct::lower::decode_vec(text).unwrap();
        let (mut before, mut count) = ([0; SECTOR_BYTES], 0);
        for line in include_str!("ieee1619.txt").lines().filter(|line| !line.starts_with('#')) {
            let [_, key, sector, plain, expected] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
            let plain = if plain == "previous" { before } else { counting() };
            before = bytes(expected).try_into().unwrap();
            check(&bytes(key), sector.parse().unwrap(), plain, before);
            count += 1;
        }
        assert_eq!(count, 7);
    }

    /// First and last 16 bytes of sectors as `vhd-util copy -k` of blktap 4 wrote them with the key 0, 1, 2, …
    #[test]
    fn sectors_are_those_of_blktap() {
        let written = [
            (32, 0, "74a109aabf1937c022d19da4b96cbc40", "3f58e86f7caadb805120eab0bbc04cdc"),
            (32, 4095, "8b4cfd57a79a6869aa082976a0b0ce82", "a4c687c16ade5dab43c2d361e8628e7e"),
            (32, 0xffff_ffff, "f16e4ef917fdb22ad43ad7e1e4b191e1", "4b60649a915ce7be6d01899fc55d2f32"),
            (64, 0, "dc8c665b97cbc0246d4f1639a9678a3e", "f04100379dedfce370af7f179a14ca5a"),
            (64, 4095, "38fd23934819b66a57241ffa57df6f39", "00bdf69dd24e3e61cce6dee24a5c4784"),
            (64, 0xffff_ffff, "7cb440c8040df2724a732cd8f1aada26", "6de073cfa335294d4072bb5381b12f5e"),
        ];
        for (key_bytes, number, head, tail) in written {
            let mut sectors = [counting()];
            cipher(&counting()[..key_bytes]).encrypt(number, &mut sectors);
            let found = [&sectors[0][..16], &sectors[0][496..]].map(base16ct::lower::encode_string);
            assert_eq!(found, [head, tail], "{key_bytes} bytes, sector {number}");
        }
    }

    #[test]
    fn numbers_wrap_after_32_bits() {
        let cipher = cipher(&counting()[..64]);
        let (mut low, mut high) = ([counting(); 3], [counting(); 3]);
        cipher.encrypt(0, &mut low);
        cipher.encrypt(1 << 32, &mut high);
        assert!(low == high && low[0] != low[1]);
        cipher.decrypt(u64::MAX, &mut low);
    }

    #[test]
    fn a_key_of_equal_halves_is_refused() {
        assert!(matches!(Cipher::new(&Key::new(&[1; 64]).unwrap()), Err(KeyError::EqualHalves)));
        assert_eq!(format!("{:?}", cipher(&counting()[..32])), "Cipher(AES-128-XTS)");
    }
}
