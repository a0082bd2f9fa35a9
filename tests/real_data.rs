//! On real loans with their real outcome, the bad rate rises strictly with the number of flags.
//!
//! The rows are LendingClub's of 2007 to 2011, from `CREDITMESH_LENDINGCLUB` or the shared data
//! folder beside the checkout; where neither is there, the test says so and passes.
//! `docs/real-data.md` has the mapping of columns to flags, and what a run printed.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::fs::File;
use std::path::PathBuf;

use creditmesh::domain::Currency;
use creditmesh::risk::Policy;
use flate2::read::GzDecoder;

const FILE: &str = "lendingclub_2007_2011.train.csv.gz";

/// Fewer rows than this are not judged.
const GROUP_ROWS_MIN: u32 = 200;

/// Inquiries in six months from which velocity is raised.
const INQUIRIES: f64 = 3.0;

/// The quantile of the normal distribution for 95 %.
const Z: f64 = 1.959_964;

const FLAGS: [&str; 4] = [
    "VL: 3 inquiries or more in 6 months",
    "EX: revolving credit used to 80 % or more",
    "RS: a public record",
    "RC: a delinquency within 12 months",
];

fn data() -> Option<PathBuf> {
    let named = std::env::var_os("CREDITMESH_LENDINGCLUB").map(PathBuf::from);
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let beside = here.join("../shared/data").join(FILE);
    [named, Some(beside)]
        .into_iter()
        .flatten()
        .find(|path| path.exists())
}

/// Which flags a row raises; an empty field raises none.
fn flags(row: &csv::StringRecord, columns: &Columns, policy: &Policy) -> [bool; 4] {
    let number = |at: usize| row.get(at).and_then(|text| text.parse::<f64>().ok());
    let (used, months) = (
        f64::from(policy.exposure.medium_percent),
        f64::from(policy.recent_cure_months.1),
    );
    // In the oldest rows 0 months also stands for "never".
    let since = number(columns.since).filter(|months| {
        *months > 0.0 || number(columns.delinquent).is_some_and(|count| count > 0.0)
    });
    [
        number(columns.inquiries).is_some_and(|count| count >= INQUIRIES),
        number(columns.used).is_some_and(|percent| percent >= used),
        number(columns.public).is_some_and(|count| count >= 1.0),
        since.is_some_and(|since| since < months),
    ]
}

struct Columns {
    bad: usize,
    inquiries: usize,
    used: usize,
    public: usize,
    since: usize,
    delinquent: usize,
}

impl Columns {
    fn of(header: &csv::StringRecord) -> Self {
        let place = |name: &str| header.iter().position(|column| column == name).unwrap();
        Self {
            bad: place("bad"),
            inquiries: place("inq_last_6mths"),
            used: place("revol_util_pct"),
            public: place("pub_rec"),
            since: place("mths_since_last_delinq"),
            delinquent: place("delinq_2yrs"),
        }
    }
}

/// Rows, and how many of them went bad.
#[derive(Debug, Clone, Copy, Default)]
struct Group {
    rows: u32,
    bad: u32,
}

impl Group {
    fn add(&mut self, bad: bool) {
        self.rows += 1;
        self.bad += u32::from(bad);
    }

    fn rate(self) -> f64 {
        f64::from(self.bad) / f64::from(self.rows.max(1))
    }

    /// Wilson's score interval of a share p of n: the middle is (p + z²/2n) ÷ (1 + z²/n), the half
    /// width z·√(p(1−p)/n + z²/4n²) ÷ (1 + z²/n).
    fn interval(self) -> (f64, f64) {
        let (n, p) = (f64::from(self.rows.max(1)), self.rate());
        let shrink = 1.0 + Z * Z / n;
        let middle = (p + Z * Z / (2.0 * n)) / shrink;
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt() / shrink;
        (middle - half, middle + half)
    }

    fn text(self) -> String {
        let (low, high) = self.interval();
        format!(
            "{:>6} rows, bad {:>4.1} % ({:.1} to {:.1})",
            self.rows,
            100.0 * self.rate(),
            100.0 * low,
            100.0 * high
        )
    }
}

#[test]
fn bad_rates_rise_with_the_number_of_flags() {
    let Some(path) = data() else {
        println!("skipped: {FILE} is not here; name it in CREDITMESH_LENDINGCLUB");
        return;
    };
    let policy = Policy::built_in(Currency::USD).unwrap();
    let mut reader = csv::Reader::from_reader(GzDecoder::new(File::open(path).unwrap()));
    let columns = Columns::of(reader.headers().unwrap());
    let mut by_number = [Group::default(); 5];
    let mut by_flag = [[Group::default(); 2]; 4];
    for row in reader.records() {
        let row = row.unwrap();
        let bad = row.get(columns.bad) == Some("1");
        let raised = flags(&row, &columns, &policy);
        for (group, raised) in by_flag.iter_mut().zip(raised) {
            group.get_mut(usize::from(raised)).unwrap().add(bad);
        }
        let number = raised.iter().filter(|raised| **raised).count();
        by_number.get_mut(number).unwrap().add(bad);
    }
    for (name, [calm, raised]) in FLAGS.iter().zip(by_flag) {
        println!(
            "{name}\n  raised {}\n  not    {}",
            raised.text(),
            calm.text()
        );
        assert!(raised.rate() > calm.rate(), "{name} tells nothing");
    }
    for (number, group) in by_number.iter().enumerate() {
        println!("{number} flags: {}", group.text());
    }
    let rows: u32 = by_number.iter().map(|group| group.rows).sum();
    assert!(rows > 20_000, "the whole file was read");
    let judged: Vec<&Group> = by_number
        .iter()
        .filter(|group| group.rows >= GROUP_ROWS_MIN)
        .collect();
    assert!(judged.len() >= 3);
    for pair in judged.windows(2) {
        if let [fewer, more] = pair {
            assert!(more.rate() > fewer.rate());
            assert!(
                more.interval().0 > fewer.interval().1,
                "the intervals are apart"
            );
        }
    }
}
