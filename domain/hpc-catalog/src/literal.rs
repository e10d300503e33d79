//! Numbers in a Python literal: SkyPilot's `GpuInfo` looks like JSON and is none.

/// The number after `'key':`, whole or with zeroes as decimals; the first one, wherever it is nested.
pub(crate) fn number(text: &str, key: &str) -> Option<u64> {
    let mut rest = text;
    loop {
        let start = rest.find(['\'', '"'])?;
        let quote = rest.get(start..)?.chars().next()?;
        let inside = rest.get(start + 1..)?;
        let end = inside.find(quote)?;
        let (word, after) = (inside.get(..end)?, inside.get(end + 1..)?);
        rest = after;
        let Some(value) = after.trim_start().strip_prefix(':').filter(|_| word == key) else { continue };
        let value = value.trim_start();
        let length = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
        let (number, after) = value.split_at_checked(length)?;
        // `8e4` is not 8.
        let ends = after.is_empty() || after.starts_with([',', '}', ']', ')', ' ']);
        return crate::decimal::whole(number).filter(|_| ends);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_where_they_are() {
        let info = "{'Gpus': [{'Name': 'H100', 'Manufacturer': \"O'Neil\", 'Count': 8.0, 'MemoryInfo': {'SizeInMiB': 81559}}], \
                    'TotalGpuMemoryInMiB': 81559}";
        assert_eq!(number(info, "SizeInMiB"), Some(81_559));
        assert_eq!(number(info, "Count"), Some(8));
        assert_eq!(number(info, "Name"), None, "not a number");
        assert_eq!(number(info, "Missing"), None);
        assert_eq!(number("{\"SizeInMiB\": 5}", "SizeInMiB"), Some(5), "JSON is read as well");
        for text in [
            "",
            "'",
            "'SizeInMiB'",
            "'SizeInMiB':",
            "'SizeInMiB': None",
            "'SizeInMiB': 1.5",
            "'SizeInMiB': 8e4",
            "'SizeInMiB': 8_0",
            "SizeInMiB: 5",
            "'SizeInMiB: 5",
        ] {
            assert_eq!(number(text, "SizeInMiB"), None, "{text}");
        }
        assert_eq!(number("'Name': 'SizeInMiB', 'SizeInMiB': 7", "SizeInMiB"), Some(7));
    }
}
