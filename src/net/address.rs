//! Which addresses are not the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why `address` is not reachable for what workflows and plugins fetch; None for public addresses. An IPv6 address that
/// carries an IPv4 address (mapped, compatible, NAT64, 6to4) is judged by the address it carries.
pub fn forbidden(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => forbidden_v4(v4),
        IpAddr::V6(v6) => forbidden_v6(v6),
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (0, ..) => Some("an unspecified address"),
        (127, ..) => Some("a loopback address"),
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => Some("a private address"),
        // Cloud metadata services live here (169.254.169.254).
        (169, 254, _) => Some("a link-local address"),
        (100, 64..=127, _) => Some("a carrier-grade NAT address"),
        (192, 0, 0) | (192, 0, 2) | (198, 51, 100) | (203, 0, 113) | (192, 88, 99) | (198, 18..=19, _) => {
            Some("a reserved address")
        }
        (224..=239, ..) => Some("a multicast address"),
        (240..=255, ..) => Some("a reserved address"),
        _ => None,
    }
}

fn forbidden_v6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    let carried = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        forbidden_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("an unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("a loopback address"),
        // Mapped (::ffff:a.b.c.d), and the long deprecated compatible form (::a.b.c.d).
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] => carried(high, low),
        // NAT64: how IPv6-only networks reach public IPv4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => carried(high, low),
        // 6to4.
        [0x2002, high, low, ..] => carried(high, low),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xfec0..=0xfeff, ..] | [0xfc00..=0xfdff, ..] => Some("a private address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        // Teredo tunnels to an address that is written in disguise; the rest of 2001:0::/23 is special too.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] => Some("a reserved address"),
        [0x2000..=0x3fff, ..] => None,
        // Public IPv6 is 2000::/3; nothing else is routed.
        _ => Some("a reserved address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_public_is_refused() {
        for (address, word) in [
            ("127.0.0.1", "loopback"),
            ("127.255.0.9", "loopback"),
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("10.0.0.1", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.1.1", "private"),
            ("169.254.169.254", "link-local"),
            ("100.64.0.1", "carrier-grade"),
            ("100.127.255.255", "carrier-grade"),
            ("198.18.0.1", "reserved"),
            ("192.0.2.1", "reserved"),
            ("224.0.0.1", "multicast"),
            ("255.255.255.255", "reserved"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:169.254.169.254", "link-local"),
            ("::7f00:1", "loopback"),
            ("64:ff9b::10.0.0.1", "private"),
            ("64:ff9b:1::1", "reserved"),
            ("2002:7f00:1::", "loopback"),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "reserved"),
            ("2001:db8::1", "reserved"),
            ("fe80::1", "link-local"),
            ("fd00:ec2::254", "private"),
            ("fec0::1", "private"),
            ("ff02::1", "multicast"),
            ("4000::1", "reserved"),
        ] {
            let reason = forbidden(address.parse().unwrap()).unwrap_or("nothing");
            assert!(reason.contains(word), "{address}: {reason}");
        }
    }

    #[test]
    fn public_addresses_are_not() {
        for address in [
            "8.8.8.8",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2a00:1450:4003::200e",
        ] {
            assert_eq!(forbidden(address.parse().unwrap()), None, "{address}");
        }
    }

    proptest! {
        /// No disguise of an IPv4 address opens what the address itself does not.
        #[test]
        fn a_disguise_opens_nothing(v4: u32) {
            let v4 = Ipv4Addr::from(v4);
            let [a, b, c, d] = v4.octets().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            if forbidden_v4(v4).is_some() {
                prop_assert!(forbidden(v4.to_ipv6_mapped().into()).is_some());
                prop_assert!(forbidden(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low).into()).is_some());
                prop_assert!(forbidden(Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1).into()).is_some());
            }
        }
    }
}
