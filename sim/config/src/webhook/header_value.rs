//! Values of header operations: literal text with `%VARIABLE%`, `%VARIABLE(argument)%` and `%VARIABLE(["a", "b"])%`
//! (istiod: `header_value_validator.go`, after Envoy's old header parser). Which variables exist is not looked at.

/// Where the parser is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Literal,
    /// In the name of a variable.
    Name,
    /// After `(`: a list or a bare argument.
    Arguments,
    /// Before the quote of a list's element.
    Element,
    /// In an element or a bare argument.
    Text,
    /// After an element.
    Comma,
    /// After the list.
    Parenthesis,
    /// After `)`.
    Percent,
}

/// Why a value is refused.
pub(super) fn problem(value: &str) -> Option<&'static str> {
    let mut state = State::Literal;
    let mut bytes = value.bytes().peekable();
    while let Some(byte) = bytes.next() {
        state = match (state, byte) {
            (State::Literal, b'%') => match bytes.peek() {
                None => return Some("`%` must be written `%%`"),
                Some(b'%') => {
                    bytes.next();
                    State::Literal
                }
                Some(_) => State::Name,
            },
            (State::Name | State::Percent, b'%') => State::Literal,
            (State::Name, b'(') => State::Arguments,
            (State::Arguments, b'[') => State::Element,
            // The first character of a bare argument is part of it, whatever it is.
            (State::Arguments, other) if other != b' ' => State::Text,
            (State::Element, b'"') => State::Text,
            (State::Element, other) if other != b' ' => return Some("expected `\"`"),
            (State::Text, b'\\') => match bytes.next() {
                None => return Some("unfinished backslash"),
                Some(_) => State::Text,
            },
            (State::Text, b')') => State::Percent,
            (State::Text, b'"') => State::Comma,
            (State::Comma, b',') => State::Element,
            (State::Comma, b']') => State::Parenthesis,
            (State::Comma, other) if other != b' ' => return Some("expected `,` or `]`"),
            (State::Parenthesis, b')') => State::Percent,
            (State::Parenthesis, other) if other != b' ' => return Some("expected `)`"),
            (State::Percent, other) if other != b' ' => return Some("expected `%` after `)`"),
            (state, _) => state,
        };
    }
    (state != State::Literal).then_some("`%` must be written `%%` or close a `%VARIABLE%`")
}

#[cfg(test)]
mod tests {
    use super::problem;

    #[test]
    fn variables_must_be_closed_and_lists_well_formed() {
        for fine in [
            "",
            "a",
            "100%%",
            "%A%",
            "%REQ(x)%",
            "%A%-%B%",
            r#"%UPSTREAM(["a", "b"])%"#,
            "%A( x )%",
            "%A(x) %",
        ] {
            assert_eq!(problem(fine), None, "{fine}");
        }
        // `%PREFIX()%`: the parenthesis that closes is the argument's first character.
        for refused in [
            "%",
            "a%",
            "%A",
            "%A(x",
            "%A(x)",
            "%PREFIX()%",
            "%A([x])%",
            r#"%A(["a" "b"])%"#,
            "%A(x)y%",
            r"%A(x\",
        ] {
            assert!(problem(refused).is_some(), "{refused}");
        }
    }
}
