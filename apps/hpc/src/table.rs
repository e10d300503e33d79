//! Columns of text, aligned by spaces, without frames: easy to read, to `grep` and to `cut`.

/// Rows under a head. A column is as wide as its widest cell.
pub(crate) struct Table {
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
    indent: usize,
}

impl Table {
    /// A table with these heads; `>` before a head puts its column to the right.
    pub(crate) fn new(heads: &[&str]) -> Self {
        let right = heads.iter().map(|head| head.starts_with('>')).collect();
        let head = heads.iter().map(|head| head.trim_start_matches('>').to_owned()).collect();
        Self { right, rows: vec![head], indent: 0 }
    }

    /// A table without heads.
    pub(crate) fn plain() -> Self {
        Self { right: Vec::new(), rows: Vec::new(), indent: 0 }
    }

    pub(crate) fn indent(mut self, columns: usize) -> Self {
        self.indent = columns;
        self
    }

    pub(crate) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The text, a line break after each row.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(self.indent);
            for (column, cell) in row.iter().enumerate() {
                let width = widths.get(column).copied().unwrap_or(0);
                let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
                let right = self.right.get(column).copied().unwrap_or(false);
                let (before, after) = if right { (gap.as_str(), "") } else { ("", gap.as_str()) };
                line.push_str(before);
                line.push_str(cell);
                line.push_str(after);
                line.push_str("  ");
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["name", ">usd"]).indent(2);
        table.row(["a", "1.00"]);
        table.row(["längst", "100.00"]);
        assert_eq!(table.render(), "  name       usd\n  a         1.00\n  längst  100.00\n");
        assert_eq!(Table::plain().render(), "");
    }
}
