from keras_xcons.files import sha256_of_file, sha256_of_text

# FIPS 180-2, appendix B.1.
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_of_a_text_and_of_a_file(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256_of_text("abc") == sha256_of_file(path) == ABC
