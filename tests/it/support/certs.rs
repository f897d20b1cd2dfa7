//! A certificate for `localhost`, by an authority that only one test knows.

use std::path::Path;
use std::process::Command;

/// Makes `ca.pem`, and `NAME.pem` with its key `NAME.key`, in `dir`.
pub fn issue(dir: &Path, name: &str) {
    let openssl = |args: &str| {
        let args = args.split_whitespace();
        let done = Command::new("openssl").args(args).current_dir(dir).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!(
        "req -x509 {key} -keyout ca.key -out ca.pem -days 3 -subj /CN=Private \
         -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"
    ));
    openssl(&format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN=localhost"));
    let names = "subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n";
    std::fs::write(dir.join("names"), names).unwrap();
    openssl(&format!(
        "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
         -extfile names -out {name}.pem"
    ));
}
