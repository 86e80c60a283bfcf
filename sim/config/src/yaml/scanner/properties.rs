//! Anchors, aliases, tags and directives.

use super::{Result, Scanner, TokenKind};

fn is_word(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'_' || c == b'-'
}

impl<'t> Scanner<'t> {
    fn scan_word(&mut self) -> String {
        let mut word = String::new();
        while is_word(self.cursor.peek()) {
            self.cursor.read(&mut word);
        }
        word
    }

    pub(super) fn scan_anchor(&mut self, kind: fn(String) -> TokenKind<'t>) -> Result<()> {
        let start = self.cursor.mark;
        self.cursor.skip();
        let name = self.scan_word();
        let closed = self.cursor.is_blankz()
            || matches!(self.cursor.peek(), b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`');
        if name.is_empty() || !closed {
            return Err(self.cursor.error("did not find expected alphabetic or numeric character"));
        }
        self.push(kind(name), start);
        Ok(())
    }

    pub(super) fn scan_tag(&mut self) -> Result<()> {
        let start = self.cursor.mark;
        let (handle, suffix) = if self.cursor.peek_at(1) == b'<' {
            self.cursor.skip();
            self.cursor.skip();
            let suffix = self.scan_tag_uri("")?;
            if self.cursor.peek() != b'>' {
                return Err(self.cursor.error("did not find the expected '>'"));
            }
            self.cursor.skip();
            (String::new(), suffix)
        } else {
            let handle = self.scan_tag_handle(false)?;
            if handle.len() > 1 && handle.ends_with('!') {
                let suffix = self.scan_tag_uri("")?;
                (handle, suffix)
            } else {
                // `!foo` is the primary handle with a suffix; a lone `!` is a tag of its own.
                match self.scan_tag_uri(&handle)? {
                    suffix if suffix.is_empty() => (String::new(), "!".to_owned()),
                    suffix => ("!".to_owned(), suffix),
                }
            }
        };
        if !self.cursor.is_blankz() {
            return Err(self.cursor.error("did not find expected whitespace or line break"));
        }
        self.push(TokenKind::Tag { handle, suffix }, start);
        Ok(())
    }

    fn scan_tag_handle(&mut self, directive: bool) -> Result<String> {
        if self.cursor.peek() != b'!' {
            return Err(self.cursor.error("did not find expected '!'"));
        }
        let mut handle = String::new();
        self.cursor.read(&mut handle);
        handle.push_str(&self.scan_word());
        if self.cursor.peek() == b'!' {
            self.cursor.read(&mut handle);
        } else if directive && handle != "!" {
            return Err(self.cursor.error("did not find expected '!'"));
        }
        Ok(handle)
    }

    /// A tag's URI; `head` is a handle that turned out to be its beginning.
    fn scan_tag_uri(&mut self, head: &str) -> Result<String> {
        let mut bytes: Vec<u8> = head.bytes().skip(1).collect();
        let mut found = !head.is_empty();
        loop {
            match self.cursor.peek() {
                b'%' => self.scan_uri_escape(&mut bytes)?,
                c if is_word(c) || b";/?:@&=+$,.!~*'()[]".contains(&c) => {
                    bytes.push(c);
                    self.cursor.skip();
                }
                _ => break,
            }
            found = true;
        }
        if !found {
            return Err(self.cursor.error("did not find expected tag URI"));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// `%C3%A9`: all octets of one UTF-8 character.
    fn scan_uri_escape(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        let mut left = None;
        while left != Some(0) {
            let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
            let (Some(high), Some(low)) = (digit(self.cursor.peek_at(1)), digit(self.cursor.peek_at(2)))
            else {
                return Err(self.cursor.error("did not find URI escaped octet"));
            };
            if self.cursor.peek() != b'%' {
                return Err(self.cursor.error("did not find URI escaped octet"));
            }
            let octet = high << 4 | low;
            left = Some(match left {
                None => match octet {
                    0x00..=0x7F => 0,
                    0xC0..=0xDF => 1,
                    0xE0..=0xEF => 2,
                    0xF0..=0xF7 => 3,
                    _ => return Err(self.cursor.error("found an incorrect leading UTF-8 octet")),
                },
                Some(_) if octet & 0xC0 != 0x80 => {
                    return Err(self.cursor.error("found an incorrect trailing UTF-8 octet"));
                }
                Some(n) => n - 1,
            });
            bytes.push(octet);
            for _ in 0..3 {
                self.cursor.skip();
            }
        }
        Ok(())
    }

    pub(super) fn scan_directive(&mut self) -> Result<()> {
        let start = self.cursor.mark;
        self.cursor.skip();
        let name = self.scan_word();
        if name.is_empty() {
            return Err(self.cursor.error("could not find expected directive name"));
        }
        if !self.cursor.is_blankz() {
            return Err(self.cursor.error("found unexpected non-alphabetical character"));
        }
        let kind = match name.as_str() {
            "YAML" => self.scan_version()?,
            "TAG" => self.scan_tag_directive()?,
            _ => return Err(self.cursor.error("found unknown directive name")),
        };
        self.push(kind, start);
        self.cursor.skip_blanks();
        self.cursor.skip_comment();
        if !self.cursor.is_breakz() {
            return Err(self.cursor.error("did not find expected comment or line break"));
        }
        self.cursor.skip_line();
        Ok(())
    }

    fn scan_version(&mut self) -> Result<TokenKind<'t>> {
        self.cursor.skip_blanks();
        let major = self.scan_version_number()?;
        if self.cursor.peek() != b'.' {
            return Err(self.cursor.error("did not find expected digit or '.' character"));
        }
        self.cursor.skip();
        let minor = self.scan_version_number()?;
        Ok(TokenKind::VersionDirective(major, minor))
    }

    fn scan_version_number(&mut self) -> Result<u8> {
        let mut digits = String::new();
        while self.cursor.peek().is_ascii_digit() {
            self.cursor.read(&mut digits);
            if digits.len() > 2 {
                return Err(self.cursor.error("found extremely long version number"));
            }
        }
        digits.parse().map_err(|_| self.cursor.error("did not find expected version number"))
    }

    fn scan_tag_directive(&mut self) -> Result<TokenKind<'t>> {
        self.cursor.skip_blanks();
        let handle = self.scan_tag_handle(true)?;
        if !self.cursor.is_blank() {
            return Err(self.cursor.error("did not find expected whitespace"));
        }
        self.cursor.skip_blanks();
        let prefix = self.scan_tag_uri("")?;
        if !self.cursor.is_blankz() {
            return Err(self.cursor.error("did not find expected whitespace or line break"));
        }
        Ok(TokenKind::TagDirective { handle, prefix })
    }
}
