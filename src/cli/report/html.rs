//! A report as one page to print: no script, nothing loaded from elsewhere, every text escaped.

use serde_json::Value;

use super::{Part, parts, remarks, words};

const STYLE: &str = "body{font:11pt/1.4 Georgia,serif;max-width:60em;margin:2em auto;padding:0 1em;\
    color:#111}h1{font-size:1.5em;margin-bottom:.2em}h2{font-size:1.15em;margin:1.6em 0 .4em;\
    border-bottom:1px solid #999}table{border-collapse:collapse;width:100%;font-size:.85em}\
    th,td{text-align:left;vertical-align:top;padding:.25em .5em;border-bottom:1px solid #ddd;\
    overflow-wrap:anywhere}th{color:#444;font-weight:600;overflow-wrap:normal}\
    tr{break-inside:avoid}\
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

    const EVIL: &str = "<script>alert('x')</script>\" onload=\"y & <img src=x> </td></style>";

    /// A report in which every text that comes from outside is hostile.
    fn hostile() -> String {
        write(&json!({
            "report_id": EVIL, "member": EVIL, "network": EVIL, "made_at": EVIL,
            "identifiers": [EVIL],
            "records": [{ "record": { "kind": EVIL, "record_id": EVIL, "reported_at": EVIL,
                EVIL: EVIL, "list": [EVIL, 3] }, "deleted_at": EVIL, "rule": EVIL }],
            "published": [{ "identifier": EVIL, "tells": [EVIL], "level": EVIL }],
            "signals": [{ "kind": EVIL, "record_id": EVIL, "event_on": EVIL }],
            "disputes": [{ "reason": EVIL, "state": EVIL, "resolution": EVIL }],
            "queries": [{ "at": EVIL, "purpose": EVIL, "consent": EVIL, "outcome": EVIL,
                "decided": EVIL, "answer": { "flags": [{ "code": EVIL, "state": "TRUE" }] } }],
            "queries_since": EVIL, "watched_since": EVIL, "reports": [EVIL],
            "queries_of_others": EVIL, "kept": EVIL,
        }))
    }

    /// The elements of a page in the order in which they open. Panics where one is not closed in
    /// its order, or where a `<`, `>` or `&` stands for itself.
    fn elements(page: &str) -> Vec<String> {
        let page = page.strip_prefix("<!DOCTYPE html>").unwrap();
        let (mut open, mut seen) = (Vec::new(), Vec::new());
        let mut rest = page;
        while let Some((text, behind)) = rest.split_once('<') {
            is_text(text, &open);
            let (tag, after) = behind.split_once('>').unwrap();
            assert!(!tag.contains('<'), "{tag}");
            rest = after;
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name), "in {seen:?}");
                continue;
            }
            let name = tag.split(' ').next().unwrap().to_owned();
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "{tag}");
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            seen.push(name.clone());
            if name != "meta" {
                open.push(name);
            }
        }
        is_text(rest, &open);
        assert!(open.is_empty(), "{open:?} are left open");
        seen
    }

    fn is_text(text: &str, open: &[String]) {
        if open.last().is_some_and(|name| name == "style") {
            return;
        }
        assert!(!text.contains('>'), "{text}");
        for behind in text.split('&').skip(1) {
            let known = ["amp;", "lt;", "gt;", "quot;", "#39;"];
            assert!(known.iter().any(|one| behind.starts_with(one)), "{text}");
        }
    }

    #[test]
    fn whatever_a_record_says_stays_text() {
        let page = hostile();
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("\" onload"));
        let escaped = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;";
        assert!(page.matches(escaped).count() > 25, "{page}");
    }

    #[test]
    fn the_page_is_well_formed_also_where_every_text_is_hostile_or_missing() {
        let known = [
            "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "table", "tr", "th",
            "td",
        ];
        for page in [hostile(), write(&json!({}))] {
            let seen = elements(&page);
            assert!(
                seen.iter().all(|name| known.contains(&name.as_str())),
                "{seen:?}"
            );
            for once in ["html", "head", "title", "style", "body", "h1"] {
                assert_eq!(
                    seen.iter().filter(|name| *name == once).count(),
                    1,
                    "{once}"
                );
            }
        }
        assert!(elements(&hostile()).iter().any(|name| name == "td"));
    }

    #[test]
    fn the_page_prints_and_loads_nothing() {
        let page = hostile();
        let (style, _) = page.split_once("</style>").unwrap();
        assert!(style.contains("@media print{") && style.contains("@page{"));
        assert!(style.contains("tr{break-inside:avoid}"));
        for loads in ["url(", "@import", " href=", "http://", "https://"] {
            assert!(!style.contains(loads), "{loads}");
        }
        assert!(page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'\""));
        // No attribute but these, and their values are this program's own words.
        let text = page.split_once("</head>").unwrap().1;
        let tags = text
            .split('<')
            .skip(1)
            .filter_map(|tag| tag.split_once('>'));
        for (tag, _) in tags {
            let attributes = tag.split_once(' ').map(|(_, attributes)| attributes);
            assert!(
                matches!(attributes, None | Some("class=\"meta\"" | "class=\"note\"")),
                "{tag}"
            );
        }
    }
}
