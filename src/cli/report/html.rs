//! A report as one page to print: no script, nothing loaded from elsewhere, every text escaped.

use serde_json::Value;

use super::{Part, parts, remarks, words};

const STYLE: &str = "body{font:11pt/1.4 Georgia,serif;max-width:60em;margin:2em auto;padding:0 1em;\
    color:#111}h1{font-size:1.5em;margin-bottom:.2em}h2{font-size:1.15em;margin:1.6em 0 .4em;\
    border-bottom:1px solid #999}table{border-collapse:collapse;width:100%;font-size:.85em}\
    th,td{text-align:left;vertical-align:top;padding:.25em .5em;border-bottom:1px solid #ddd;\
    overflow-wrap:anywhere}th{color:#444;font-weight:600}tr{break-inside:avoid}\
    .meta{color:#444;margin:.1em 0}.note{font-size:.9em}\
    @media print{body{margin:0;max-width:none}@page{margin:18mm}}";

/// A text that a browser shows as it is, in an element or an attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn table(part: &Part) -> String {
    let title = escaped(part.title);
    if part.rows.is_empty() {
        return format!("<h2>{title}</h2>\n<p>{}</p>\n", escaped(part.nothing));
    }
    let cells = |tag: &str, texts: &mut dyn Iterator<Item = &str>| -> String {
        texts
            .map(|text| format!("<{tag}>{}</{tag}>", escaped(text)))
            .collect()
    };
    let mut out = format!("<h2>{title}</h2>\n<table>\n<tr>");
    out.push_str(&cells("th", &mut part.heads.iter().copied()));
    out.push_str("</tr>\n");
    for row in &part.rows {
        let row = cells("td", &mut row.iter().map(String::as_str));
        out.push_str(&format!("<tr>{row}</tr>\n"));
    }
    out.push_str("</table>\n");
    out
}

pub(super) fn write(report: &Value) -> String {
    let field = |name: &str| escaped(&words(report.get(name).unwrap_or(&Value::Null)));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Report of {member}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>What {member} holds about you</h1>\n\
         <p class=\"meta\">{identifiers}</p>\n\
         <p class=\"meta\">Network {network}, made {made}, number {number}</p>\n",
        member = field("member"),
        identifiers = field("identifiers"),
        network = field("network"),
        made = field("made_at"),
        number = field("report_id"),
    );
    for part in parts(report) {
        page.push_str(&table(&part));
    }
    page.push_str("<h2>Notes</h2>\n");
    for remark in remarks(report) {
        page.push_str(&format!("<p class=\"note\">{}</p>\n", escaped(&remark)));
    }
    page.push_str("</body>\n</html>\n");
    page
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::write;

    #[test]
    fn whatever_a_record_says_stays_text() {
        let evil = "<script>alert('x')</script>\" onload=\"y & <img src=x>";
        let page = write(&json!({
            "member": evil,
            "identifiers": [evil],
            "records": [{ "record": { "kind": evil, evil: evil, "list": [evil, 3] } }],
            "published": [{ "tells": [evil], "level": evil }],
            "signals": [{ "kind": evil }],
            "disputes": [{ "reason": evil }],
            "queries": [{ "consent": evil, "outcome": evil, "answer": {
                "flags": [{ "code": evil, "state": "TRUE" }] } }],
            "queries_since": evil,
        }));
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("\" onload"));
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"));
        assert!(!page.contains("http://") && !page.contains("https://"));
    }
}
