//! `PATH=VALUES` of a sweep: a list (`1,2,4`), a range (`10%..50%:10%`), or a YAML list where values hold commas.

use mesh_config::source::FileId;
use mesh_config::yaml::{Value, parse_stream};
use mesh_reports::sweep::Parameter;

/// Most values of one parameter.
const MOST_VALUES: i128 = 100_000;

/// Reads `spec.traffic[0].rate=100/s..500/s:100/s`.
///
/// # Errors
/// A message for people.
pub fn parameter(text: &str) -> Result<Parameter, String> {
    let (path, words) = text.split_once('=').ok_or_else(|| format!("`{text}`: `PATH=VALUES` is expected"))?;
    let values = match range(words) {
        Some(range) => range.map_err(|why| format!("`{words}`: {why}"))?,
        None => listed(words).ok_or_else(|| format!("`{words}` is no list of values"))?,
    };
    Ok(Parameter { path: path.to_owned(), values })
}

fn listed(words: &str) -> Option<Vec<String>> {
    if !words.starts_with('[') {
        return Some(words.split(',').map(|w| w.trim().to_owned()).collect());
    }
    let (documents, problems) = parse_stream(FileId::NONE, words);
    let node = documents.into_iter().next().filter(|_| problems.is_empty())?.node;
    match node.value {
        Value::Sequence(items) => Some(items.iter().map(|item| item.to_json()).collect()),
        _ => None,
    }
}

/// `FROM..TO:STEP`, each a number with or without a unit; the end is included when a step falls on it. `None`: it is no
/// range.
fn range(words: &str) -> Option<Result<Vec<String>, String>> {
    let (from, rest) = words.split_once("..")?;
    let Some((to, step)) = rest.rsplit_once(':') else {
        return Some(Err("a range is `FROM..TO:STEP`".to_owned()));
    };
    let (Some(from), Some(to), Some(step)) =
        (Quantity::parse(from), Quantity::parse(to), Quantity::parse(step))
    else {
        return Some(Err("a range is of numbers, with one unit or none: `100/s..500/s:100/s`".to_owned()));
    };
    Some(steps(&from, &to, &step))
}

fn steps(from: &Quantity, to: &Quantity, step: &Quantity) -> Result<Vec<String>, String> {
    let units: Vec<&str> = [from.unit, to.unit, step.unit].into_iter().filter(|u| !u.is_empty()).collect();
    let unit = units.first().copied().unwrap_or_default();
    if units.iter().any(|u| *u != unit) {
        return Err("the numbers of a range have one unit".to_owned());
    }
    let decimals = from.decimals.max(to.decimals).max(step.decimals);
    let (first, last, by) = (from.at(decimals), to.at(decimals), step.at(decimals));
    if by <= 0 || last < first {
        return Err("a range goes up, in steps above 0".to_owned());
    }
    if (last - first) / by >= MOST_VALUES {
        return Err(format!("more than {MOST_VALUES} values"));
    }
    let count = (last - first) / by + 1;
    Ok((0..count).map(|i| format!("{}{unit}", decimal(first + i * by, decimals))).collect())
}

/// A decimal number and its unit: `digits / 10^decimals`.
struct Quantity<'a> {
    digits: i128,
    decimals: u32,
    unit: &'a str,
}

impl<'a> Quantity<'a> {
    fn parse(text: &'a str) -> Option<Quantity<'a>> {
        let text = text.trim();
        let body = text.strip_prefix('-').unwrap_or(text);
        let end = body.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(body.len());
        let (number, unit) = body.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || number.len() > 18 || fraction.contains('.') {
            return None;
        }
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        let digits = if body.len() < text.len() { -digits } else { digits };
        Some(Quantity { digits, decimals: fraction.len() as u32, unit })
    }

    fn at(&self, decimals: u32) -> i128 {
        self.digits * 10i128.pow(decimals.saturating_sub(self.decimals))
    }
}

fn decimal(digits: i128, decimals: u32) -> String {
    if decimals == 0 {
        return digits.to_string();
    }
    let sign = if digits < 0 { "-" } else { "" };
    let (digits, one) = (digits.abs(), 10i128.pow(decimals));
    let fraction = format!("{:0width$}", digits % one, width = decimals as usize);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", digits / one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(words: &str) -> Result<Vec<String>, String> {
        parameter(&format!("spec.x={words}")).map(|p| p.values)
    }

    #[test]
    fn lists_and_ranges() {
        for (words, expected) in [
            ("1,2, 4", "1 2 4"),
            ("1s", "1s"),
            ("0..50:25", "0 25 50"),
            ("10%..30%:10%", "10% 20% 30%"),
            ("100/s..250/s:100/s", "100/s 200/s"),
            ("0.5..2:0.5", "0.5 1 1.5 2"),
            ("-1..1:1", "-1 0 1"),
            ("100..300:100ms", "100ms 200ms 300ms"),
            ("0..0.3:0.1", "0 0.1 0.2 0.3"),
        ] {
            assert_eq!(values(words).map(|v| v.join(" ")).as_deref(), Ok(expected), "{words}");
        }
        let nested = values("[[{status: 500}], [{status: 200}], 3]").expect("a list");
        assert_eq!(nested, [r#"[{"status":500}]"#, r#"[{"status":200}]"#, "3"]);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for wrong in
            ["1..2", "1..2:0", "2..1:1", "a..b:1", "1s..2ms:1s", "0..1000000000:1", "[1, 2", "1.2.3..4:1"]
        {
            assert!(values(wrong).is_err(), "{wrong}");
        }
        assert!(parameter("spec.x").is_err());
    }
}
