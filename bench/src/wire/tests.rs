use super::*;

/// What a wire makes of bytes that come in pieces of `step`.
async fn read(bytes: &[u8], step: usize) -> io::Result<Vec<(u16, Vec<u8>)>> {
    let (near, mut far) = tokio::io::duplex(step);
    let bytes = bytes.to_vec();
    let sent = tokio::spawn(async move { far.write_all(&bytes).await });
    let mut wire = Wire::new(near);
    let mut all = Vec::new();
    while let Some(message) = wire.next().await? {
        all.push((status(message.head), message.body.to_vec()));
    }
    sent.await.unwrap().unwrap();
    Ok(all)
}

#[tokio::test]
async fn messages_are_read_however_they_are_cut() {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\nHTTP/1.1 400 Bad\r\ncontent-length:2\r\n\r\nno";
    for step in [1, 2, 7, 4096] {
        let all = read(bytes, step).await.unwrap();
        let want = [(200, "hello"), (200, "abc0123456789"), (202, ""), (400, "no")];
        let want: Vec<_> = want.iter().map(|(status, body)| (*status, body.as_bytes().to_vec())).collect();
        assert_eq!(all, want, "in pieces of {step}");
    }
}

#[tokio::test]
async fn what_is_cut_off_or_has_no_end_is_an_error() {
    for bytes in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"[..],
        b"HTTP/1.1 200 OK\r\nContent-",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        assert!(read(bytes, 64).await.is_err(), "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn headers_are_found_by_their_whole_name_in_any_case() {
    let head = b"POST /a/b HTTP/1.1\r\nX-Mcp-Name: no\r\nMCP-NAME:  yes \r\n\r\n";
    assert_eq!(header(head, "mcp-name"), Some(&b"yes"[..]));
    assert_eq!(header(head, "mcp"), None);
    assert_eq!(target(head), b"/a/b");
}
