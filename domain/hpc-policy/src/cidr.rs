//! Address ranges. IPv4-mapped IPv6 addresses count as IPv4, on both sides.

use std::net::IpAddr;

/// A network such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cidr {
    /// The network address in the top bits.
    bits: u128,
    mask: u128,
    v4: bool,
}

impl Cidr {
    /// `Err` says what is expected.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "a network such as `10.0.0.0/8` or `2001:db8::/32`";
        let (address, prefix) = text.split_once('/').ok_or(EXPECTED)?;
        let address: IpAddr = address.parse().map_err(|_| EXPECTED)?;
        if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(EXPECTED);
        }
        let prefix: u32 = prefix.parse().map_err(|_| EXPECTED)?;
        if address.to_canonical() != address {
            return Err("the IPv4 form of an IPv4-mapped network");
        }
        let (bits, width) = widen(address);
        if prefix > width {
            return Err("a prefix of at most 32 bits for IPv4 and 128 for IPv6");
        }
        let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
        if bits & !mask != 0 {
            return Err("a network without host bits, such as `10.0.0.0/8` and not `10.0.0.1/8`");
        }
        Ok(Self { bits, mask, v4: width == 32 })
    }

    /// First and last address, as numbers of the upper bits, and whether they are IPv4.
    pub(crate) fn range(&self) -> (u128, u128, bool) {
        let width = if self.v4 { u128::MAX << 96 } else { u128::MAX };
        (self.bits, (self.bits | !self.mask) & width, self.v4)
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let (bits, width) = widen(address.to_canonical());
        self.v4 == (width == 32) && bits & self.mask == self.bits
    }

    /// The first address in it, and the first one after it, if there is one.
    pub(crate) fn ends(&self) -> (IpAddr, Option<IpAddr>) {
        let narrow = |bits: u128| {
            let v4 = u32::try_from(bits >> 96).unwrap_or(u32::MAX);
            if self.v4 { IpAddr::V4(v4.into()) } else { IpAddr::V6(bits.into()) }
        };
        // Of an IPv4 network the mask has at most 32 bits at the top.
        let step = (!self.mask).checked_add(1);
        (narrow(self.bits), step.and_then(|step| self.bits.checked_add(step)).map(narrow))
    }
}

/// An address as a number, IPv4 in the upper bits, and how many bits count.
pub(crate) fn widen(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_and_edges() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.255.255", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("::/0", "1.2.3.4", false),
            ("::/0", "::ffff:1.2.3.4", false),
            ("192.0.2.1/32", "192.0.2.1", true),
            ("2001:db8::/32", "2001:db8:1::", true),
            ("2001:db8::/32", "2001:db9::", false),
        ] {
            assert_eq!(
                Cidr::parse(network).unwrap().contains(address.parse().unwrap()),
                expected,
                "{network} {address}"
            );
        }
        for network in [
            "10.0.0.0",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "::ffff:10.0.0.0/104",
            "x/8",
            "::/129",
            "/",
            "010.0.0.0/8",
        ] {
            assert!(Cidr::parse(network).is_err(), "{network}");
        }
    }
}
