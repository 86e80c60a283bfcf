//! Which plain scalars go-yaml v2 takes for timestamps. They stay strings, but they are not numbers.

/// True for the four layouts of go-yaml's `parseTimestamp`.
pub(crate) fn is_timestamp(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits != 4 || text.as_bytes().get(4) != Some(&b'-') {
        return false;
    }
    parse(text).is_some()
}

fn parse(text: &str) -> Option<()> {
    let year: u32 = text.get(..4)?.parse().ok()?;
    let (month, rest) = number(text.get(5..)?, 2)?;
    let (day, rest) = number(rest.strip_prefix('-')?, 2)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in(month, year) {
        return None;
    }
    let (time, zoned) = match rest.as_bytes().first() {
        None => return Some(()),
        Some(b'T' | b't') => (rest.get(1..)?, true),
        Some(b' ') => (rest.trim_start_matches(' '), false),
        Some(_) => return None,
    };
    let rest = clock(time)?;
    if zoned { zone(rest) } else { rest.is_empty().then_some(()) }
}

/// `15:4:5.999999999`; the rest of the text is returned.
fn clock(text: &str) -> Option<&str> {
    let (hour, rest) = number(text, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = number(rest.strip_prefix(':')?, 2)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    match rest.strip_prefix(['.', ',']) {
        Some(fraction) => {
            let end = fraction.bytes().take_while(u8::is_ascii_digit).count();
            if end == 0 { None } else { fraction.get(end..) }
        }
        None => Some(rest),
    }
}

/// `Z` or `±hh:mm`, and nothing after it.
fn zone(text: &str) -> Option<()> {
    if text == "Z" {
        return Some(());
    }
    let rest = text.strip_prefix(['+', '-'])?;
    let (hours, minutes) = rest.split_once(':')?;
    let two = |s: &str| (s.len() == 2).then(|| s.parse::<u32>().ok()).flatten();
    (two(hours)? <= 24 && two(minutes)? <= 60).then_some(())
}

/// One or two digits, as Go's unpadded layouts take them.
fn number(text: &str, max: usize) -> Option<(u32, &str)> {
    let len = text.bytes().take(max).take_while(u8::is_ascii_digit).count();
    Some((text.get(..len)?.parse().ok()?, text.get(len..)?))
}

fn days_in(month: u32, year: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::is_timestamp;

    #[test]
    fn only_go_yamls_layouts_count() {
        for yes in ["2001-12-14", "2001-1-2T3:4:5Z", "2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.1"]
        {
            assert!(is_timestamp(yes), "{yes}");
        }
        for no in ["2001-13-14", "2001-12", "20011-12-14", "2001-12-14 21:59:43.10 -5", "2001-02-30", "v1"] {
            assert!(!is_timestamp(no), "{no}");
        }
    }
}
