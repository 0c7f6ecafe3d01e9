//! Prints the OpenRPC document of the interface, as committed in `api/openrpc.json`.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    let document = hermes_api::table::document();
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &document)?;
    out.write_all(b"\n")
}
