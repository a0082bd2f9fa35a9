//! A report as text for a terminal.

use serde_json::Value;

use super::{parts, remarks, words};

pub(super) fn write(report: &Value) -> String {
    let field = |name: &str| words(report.get(name).unwrap_or(&Value::Null));
    let mut lines = vec![
        format!(
            "Report of {} in {}, made {}",
            field("member"),
            field("network"),
            field("made_at")
        ),
        format!("About {}", field("identifiers")),
        format!("Number {}", field("report_id")),
    ];
    for part in parts(report) {
        lines.push(String::new());
        lines.push(part.title.to_owned());
        if part.rows.is_empty() {
            lines.push(format!("  {}", part.nothing));
        }
        for row in &part.rows {
            let mut cells = part.heads.iter().zip(row);
            if let Some((head, cell)) = cells.next() {
                lines.push(format!("  {head}: {cell}"));
            }
            lines.extend(cells.map(|(head, cell)| format!("    {head}: {cell}")));
        }
    }
    lines.push(String::new());
    lines.extend(remarks(report));
    lines.join("\n")
}
