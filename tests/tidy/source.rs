//! Reads Rust source the way the house rules need it: without comments, literals and test modules.

/// One text file of the project.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Path relative to the package, with `/`.
    pub(crate) path: String,
    /// The text as it stands.
    pub(crate) text: String,
    /// For Rust files: the text with comments, literals and `#[cfg(test)]` items blanked out, so
    /// that what is left is product code; every line keeps its number.
    pub(crate) code: String,
}

/// A path such as `crate::store::Vault`, or one leaf of a `use` tree, and the line it stands on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mention {
    /// 1-based.
    pub(crate) line: usize,
    /// The segments, without a leading `::`.
    pub(crate) segments: Vec<String>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = if path.ends_with(".rs") {
            without_test_items(&without_comments_and_literals(text))
        } else {
            String::new()
        };
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
        }
    }

    /// The room of a file under `src/`: `src/store/sled.rs` and `src/store.rs` are `store`; the two
    /// roots `src/lib.rs` and `src/main.rs` have none.
    pub(crate) fn room(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let first = inside.split('/').next()?;
        let name = first.strip_suffix(".rs").unwrap_or(first);
        (!["lib", "main"].contains(&name)).then_some(name)
    }

    /// Product code only: a file that is a test module as a whole does not count.
    pub(crate) fn is_test_module(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// How many modules below the crate root the file's own module is: `src/a/b.rs` has 2.
    pub(crate) fn module_depth(&self) -> usize {
        let inside = self.path.trim_start_matches("src/");
        let parts = inside.split('/').count();
        if inside.ends_with("mod.rs") {
            parts - 1
        } else {
            parts
        }
    }

    pub(crate) fn mentions(&self) -> Vec<Mention> {
        mentions(&self.code)
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Blanks comments, and what stands inside string, byte and character literals.
pub(crate) fn without_comments_and_literals(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => line_end(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => block_comment_end(&chars, at),
            '"' => string_end(&chars, at, raw_hashes_before(&chars, at)),
            '\'' => character_end(&chars, at).unwrap_or(at),
            _ => at,
        };
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|&c| blank(c)));
            at = end;
        }
    }
    out
}

fn blank(c: char) -> char {
    if c == '\n' { '\n' } else { ' ' }
}

fn line_end(chars: &[char], from: usize) -> usize {
    (from..chars.len())
        .find(|&at| chars[at] == '\n')
        .unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], from: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = from;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => depth += 1,
            ('*', Some('/')) => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            break;
        }
    }
    at
}

/// `Some(n)` where the quote at `at` opens a raw string with `n` hashes.
fn raw_hashes_before(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[..at].iter().rev().take_while(|&&c| c == '#').count();
    let before = &chars[..at - hashes];
    let raw = before.last() == Some(&'r');
    let prefix_start = before.iter().rev().take_while(|&&c| is_word(c)).count();
    (raw && prefix_start <= 2).then_some(hashes)
}

fn string_end(chars: &[char], from: usize, raw: Option<usize>) -> usize {
    let mut at = from + 1;
    while at < chars.len() {
        match (chars[at], raw) {
            ('\\', None) => at += 1,
            ('"', None) => return at + 1,
            ('"', Some(hashes)) => {
                let closing = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
                if closing >= hashes {
                    return at + 1 + hashes;
                }
            }
            _ => {}
        }
        at += 1;
    }
    at
}

/// The end of a character literal; `None` where the quote starts a lifetime.
fn character_end(chars: &[char], from: usize) -> Option<usize> {
    if chars.get(from + 1) == Some(&'\\') {
        let close = (from + 3..chars.len()).find(|&at| chars[at] == '\'')?;
        return Some(close + 1);
    }
    (chars.get(from + 2) == Some(&'\'')).then_some(from + 3)
}

/// Blanks every item under `#[cfg(test)]`; expects comments and literals to be blanked already.
pub(crate) fn without_test_items(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = code.to_owned();
    let mut from = 0;
    while let Some(found) = out[from..].find(MARK) {
        let start = from + found;
        let end = item_end(&out, start + MARK.len());
        let blanked: String = out[start..end].chars().map(blank).collect();
        out.replace_range(start..end, &blanked);
        from = start;
    }
    out
}

/// The byte after the item that starts at `from`: its `;`, or the brace that closes its body.
fn item_end(code: &str, from: usize) -> usize {
    let (mut braces, mut others) = (0_usize, 0_usize);
    for (at, c) in code[from..].char_indices() {
        match c {
            '(' | '[' => others += 1,
            ')' | ']' => others = others.saturating_sub(1),
            '{' => braces += 1,
            '}' => {
                braces = braces.saturating_sub(1);
                if braces == 0 {
                    return from + at + 1;
                }
            }
            ';' if braces == 0 && others == 0 => return from + at + 1,
            _ => {}
        }
    }
    code.len()
}

/// Every path in the code; a `use` tree gives one mention for each leaf.
pub(crate) fn mentions(code: &str) -> Vec<Mention> {
    let words = tokens(code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let (line, word) = &words[at];
        if word == "use" {
            at = use_tree(&words, at + 1, &[], &mut found);
        } else if starts_path(word) {
            let mut segments = vec![word.clone()];
            at += 1;
            while at + 1 < words.len() && words[at].1 == "::" && starts_path(&words[at + 1].1) {
                segments.push(words[at + 1].1.clone());
                at += 2;
            }
            found.push(Mention {
                line: *line,
                segments,
            });
        } else {
            at += 1;
        }
    }
    found
}

fn starts_path(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Reads one `use` tree from `at` under `prefix`; returns where it ends.
fn use_tree(
    words: &[(usize, String)],
    mut at: usize,
    prefix: &[String],
    found: &mut Vec<Mention>,
) -> usize {
    let mut segments = prefix.to_vec();
    let line = words.get(at).map_or(0, |(line, _)| *line);
    while let Some((_, word)) = words.get(at) {
        match word.as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while words
                    .get(at)
                    .is_some_and(|(_, word)| word != "}" && word != ";")
                {
                    at = use_tree(words, at, &segments, found);
                    if words.get(at).is_some_and(|(_, word)| word == ",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            "as" => at += 2,
            "*" => {
                segments.push("*".to_owned());
                at += 1;
            }
            word if starts_path(word) => {
                segments.push(word.to_owned());
                at += 1;
            }
            _ => break,
        }
    }
    found.push(Mention { line, segments });
    at
}

/// Words, `::`, and every other character by itself, each with its line.
fn tokens(code: &str) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    for (number, text) in code.lines().enumerate() {
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        while at < chars.len() {
            let length = if is_word(chars[at]) {
                chars[at..].iter().take_while(|&&c| is_word(c)).count()
            } else if chars[at] == ':' && chars.get(at + 1) == Some(&':') {
                2
            } else {
                1
            };
            if !chars[at].is_whitespace() {
                let word = chars[at..at + length].iter().collect();
                out.push((number + 1, word));
            }
            at += length;
        }
    }
    out
}
