//! Numbers as Go's YAML reader types them and Go's JSON encoder prints them.

use std::fmt;

/// A number out of a YAML document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// Fits a signed 64-bit integer.
    Int(i64),
    /// Only fits an unsigned 64-bit integer.
    Unsigned(u64),
    /// Written with a point or exponent, or too large for an integer. Always finite.
    Float(f64),
}

impl Number {
    /// As a signed integer. `1.0` counts, because its JSON text is `1`.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Number::Int(i) => Some(i),
            Number::Unsigned(_) => None,
            Number::Float(_) => self.to_string().parse().ok(),
        }
    }

    /// As an unsigned integer. `1.0` counts, because its JSON text is `1`.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Number::Int(i) => u64::try_from(i).ok(),
            Number::Unsigned(u) => Some(u),
            Number::Float(_) => self.to_string().parse().ok(),
        }
    }

    /// As a floating-point number.
    pub fn as_f64(&self) -> f64 {
        match *self {
            Number::Int(i) => i as f64,
            Number::Unsigned(u) => u as f64,
            Number::Float(f) => f,
        }
    }

    /// True if its JSON text has neither point nor exponent.
    pub fn is_integer(&self) -> bool {
        match self {
            Number::Int(_) | Number::Unsigned(_) => true,
            Number::Float(_) => !self.to_string().contains(['.', 'e']),
        }
    }

    /// The text of this number as a mapping key: `strconv.FormatFloat(f, 'g', -1, 64)` for floats.
    pub fn key_text(&self) -> String {
        match self {
            Number::Float(f) => format_float(*f, -4, 6, 2),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Number::Int(i) => write!(f, "{i}"),
            Number::Unsigned(u) => write!(f, "{u}"),
            // Go: encoding/json floatEncoder, 'f' unless the exponent is below -6 or from 21 on.
            Number::Float(x) => f.write_str(&format_float(x, -6, 21, 1)),
        }
    }
}

/// Go's shortest formatting: plain digits while `min_exp <= exponent < max_exp`, else `d.ddde±xx` with at
/// least `exp_digits` digits of exponent when it is negative (two when it is positive).
fn format_float(x: f64, min_exp: i32, max_exp: i32, exp_digits: usize) -> String {
    if x == 0.0 {
        return if x.is_sign_negative() { "-0".to_owned() } else { "0".to_owned() };
    }
    let scientific = format!("{x:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (min_exp..max_exp).contains(&exponent) {
        return format!("{x}");
    }
    let digits = if exponent < 0 { exp_digits } else { 2 };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:0digits$}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_in_go() {
        let json = |x: f64| Number::Float(x).to_string();
        assert_eq!(json(1.0), "1");
        assert_eq!(json(1.1), "1.1");
        assert_eq!(json(1e20), "100000000000000000000");
        assert_eq!(json(1e21), "1e+21");
        assert_eq!(json(1e-6), "0.000001");
        assert_eq!(json(1e-7), "1e-7");
        assert_eq!(json(-1.5e-10), "-1.5e-10");
        assert_eq!(json(-0.0), "-0");
        assert_eq!(Number::Float(1e-7).key_text(), "1e-07");
        assert_eq!(Number::Float(1000.0).key_text(), "1000");
        assert_eq!(Number::Float(0.00001).key_text(), "1e-05");
        assert_eq!(Number::Float(1_000_000.0).key_text(), "1e+06");
    }

    #[test]
    fn integral_floats_are_integers() {
        assert_eq!(Number::Float(9080.0).as_u64(), Some(9080));
        assert_eq!(Number::Float(1.5).as_i64(), None);
        assert!(Number::Float(3.0).is_integer());
    }
}
