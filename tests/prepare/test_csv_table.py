"""Photos and classes from a CSV or TSV file."""

import tempfile
from pathlib import Path

import pytest

from flower_mm.errors import UserError
from flower_mm.prepare.prepare_dataset import Options, prepare
from flower_mm.prepare.sources.listing import TABLE, Listing
from flower_mm.prepare.sources.read_source import read_source

from .conftest import make_photos, read_record, read_splits, refused, save
from .test_archive import pack

DAISY, ROSE = [f'{i:04}' for i in range(6)], [f'{i:04}' for i in range(6, 12)]


def make_images(folder: Path, count: int = 12) -> Path:
    for number in range(count):
        save(folder / f'{number:04}.jpg', number)
    return folder


def write_table(path: Path, *lines: str, encoding: str = 'utf-8') -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(lines) + '\n', encoding)
    return path


def rows(pattern: str = '{},{}') -> list[str]:
    return [
        pattern.format(photo, label)
        for label, photos in (('daisy', DAISY), ('rose', ROSE))
        for photo in photos
    ]


def listing(path: Path, **options: str) -> Listing:
    work = Path(tempfile.mkdtemp(dir=path.parent, prefix='.'))
    return read_source(path, work, work / 'out', Options(**options))


def labels(found: Listing) -> dict[str, str]:
    return {p.path: found.classes[p.label] for p in found.photos}


@pytest.mark.parametrize(
    ('header', 'pattern', 'options'),
    [
        ('id,label', '{},{}', {}),
        ('Image_ID;Class', '{};{}', {}),
        ('file name\tcategory\tx', 'train/{}.jpg\t{}\t', {}),
        ('path,target', './train/{}.JPG,{}', {}),
        ('image|label', 'train\\{}.jpg|"{}"', {}),
        ('x,breed', '{},{}', {'path_column': 'x', 'label_column': 'breed'}),
        ('id,label,class', '{},0,{}', {'label_column': 'class'}),
    ],
)
def test_columns_and_paths(tmp_path, header, pattern, options):
    """Kaggle's layout: a table beside a folder of photos."""
    photos = tmp_path / 'p'
    make_images(photos / 'train')
    write_table(photos / 'train.csv', header, *rows(pattern))
    write_table(photos / 'sample_submission.csv', 'id,label', '0,daisy')
    found = listing(photos, **options)
    assert found.format == TABLE
    assert labels(found) == {
        **{f'train/{photo}.jpg': 'daisy' for photo in DAISY},
        **{f'train/{photo}.jpg': 'rose' for photo in ROSE},
    }
    assert not found.rows_without_file


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_tables_of_spreadsheets(tmp_path, encoding):
    make_images(tmp_path / 'p')
    lines = ('id\tlabel', *rows('{}\t{}é'))
    name = 'labels.tsv'
    write_table(tmp_path / 'p' / name, *lines, encoding=encoding)
    assert listing(tmp_path / 'p').classes == ['daisyé', 'roseé']


def test_the_dataset(tmp_path, out):
    photos = make_images(tmp_path / 'p' / 'photos').parent
    table = write_table(photos / 'labels.csv', 'id,label', *rows())
    assert prepare(photos, out, Options())
    assert set(read_splits(out)) == {
        *(f'daisy/{photo}.jpg' for photo in DAISY),
        *(f'rose/{photo}.jpg' for photo in ROSE),
    }
    assert read_record(out)['source_format'] == TABLE
    packed = pack(photos, tmp_path / 'packed.zip')
    # The table alone, from a folder that has the dataset as well.
    inside = photos / 'data'
    assert prepare(table, inside, Options())
    assert prepare(table, inside, Options())
    assert read_splits(inside) == read_splits(out)
    assert prepare(packed, tmp_path / 'unpacked', Options())
    assert read_splits(tmp_path / 'unpacked') == read_splits(out)
    # Photos of the user are copied, not linked.
    copy = next((inside / 'train' / 'daisy').iterdir())
    assert copy.stat().st_nlink == 1


def test_images_in_another_folder(tmp_path):
    images = make_images(tmp_path / 'elsewhere')
    table = write_table(tmp_path / 'tables' / 't.csv', 'id,label', *rows())
    with pytest.raises(UserError, match='--images FOLDER'):
        listing(table)
    assert len(listing(table, images=str(images)).photos) == 12
    absolute = [
        row.replace(',', '.jpg,') for row in rows(f'{images}/{{}},{{}}')
    ]
    write_table(table, 'path,label', *absolute)
    assert len(listing(table, images=str(images)).photos) == 12


def test_rows_and_files_that_lack_the_other(tmp_path, out, capsys):
    photos = make_images(tmp_path / 'p', 15)
    lines = [*rows(), '0099,daisy', '0012,', ',rose']
    write_table(photos / 'labels.csv', 'id,label', *lines)
    save(photos / 'elsewhere' / 'x.jpg', 900)
    assert prepare(photos, out, Options())
    shown = capsys.readouterr().out
    assert 'labels.csv line 14: 0099' in shown
    assert 'labels.csv line 16: ' in shown
    assert read_record(out)['left_out'] == {
        '0012.jpg': 'without a class in labels.csv',
        '0013.jpg': 'without a row in labels.csv',
        '0014.jpg': 'without a row in labels.csv',
    }
    assert '0099' in (out / 'report.txt').read_text()


def test_ids_that_several_photos_have(tmp_path):
    photos = make_images(tmp_path / 'p')
    save(photos / 'more' / '0003.png', 900)
    write_table(photos / 'labels.csv', 'id,label', *rows())
    found = listing(photos)
    assert found.rows_without_file == [
        'labels.csv line 5: 0003 (several: 0003.jpg, more/0003.png)'
    ]
    write_table(photos / 'labels.csv', 'id,label', *rows('{}.jpg,{}'))
    assert len(listing(photos).photos) == 12


def test_published_split(tmp_path, out):
    photos = make_images(tmp_path / 'p')
    splits = ['train'] * 4 + ['Validation', 'test']
    lines = [f'{r},{s}' for r, s in zip(rows(), splits * 2, strict=True)]
    write_table(photos / 'labels.csv', 'id,label,split', *lines)
    assert prepare(photos, out, Options())
    expected = ['train'] * 4 + ['val', 'test']
    assert (
        list(dict(sorted(read_splits(out).items())).values()) == expected * 2
    )
    write_table(
        photos / 'labels.csv', 'id,label,split', *lines[:-1], lines[-1][:-4]
    )
    with pytest.raises(UserError, match='1 photos have no split'):
        listing(photos)
    write_table(photos / 'labels.csv', 'id,label,split', *lines, '0,x,holdout')
    write_table(
        photos / 'labels.csv', 'id,label,split', *rows('{},{},holdout')
    )
    with pytest.raises(UserError, match="unknown split 'holdout'"):
        listing(photos)


def test_a_table_for_each_split(tmp_path):
    photos = make_images(tmp_path / 'p')
    lines = rows()
    write_table(photos / 'train.csv', 'id,label', *lines[:5], *lines[6:11])
    write_table(photos / 'test.csv', 'id,label', lines[5], lines[11])
    found = listing(photos)
    assert {p.path[:4]: p.split for p in found.photos} == {
        photo: 'test' if photo in ('0005', '0011') else 'train'
        for photo in (*DAISY, *ROSE)
    }
    (photos / 'test.csv').rename(photos / 'more.csv')
    with pytest.raises(UserError, match='several tables'):
        listing(photos)
    assert len(listing(photos / 'train.csv').photos) == 10


def test_numbers_are_sorted_by_value(tmp_path):
    photos = make_images(tmp_path / 'p')
    lines = [f'{photo},{9 + int(photo) % 3}' for photo in (*DAISY, *ROSE)]
    write_table(photos / 'labels.csv', 'id,label', *lines)
    assert listing(photos).classes == ['9', '10', '11']


def test_class_folders_win_over_a_table_that_repeats_them(tmp_path):
    photos = make_photos(tmp_path / 'p', {'daisy': 6, 'rose': 6})
    lines = [f'{photo}.jpg,{int(photo in ROSE)}' for photo in (*DAISY, *ROSE)]
    write_table(photos / 'labels.csv', 'filename,label', *lines)
    assert listing(photos).classes == ['daisy', 'rose']
    # Named, or with a row that differs, it counts.
    assert listing(photos / 'labels.csv').classes == ['0', '1']
    lines[0] = lines[0].replace(',0', ',1')
    write_table(photos / 'labels.csv', 'filename,label', *lines)
    assert listing(photos).classes == ['0', '1']


def test_a_table_of_something_else_is_ignored(tmp_path):
    photos = make_photos(tmp_path / 'p', {'daisy': 6, 'rose': 6})
    write_table(photos / 'weather.csv', 'day,class', '1,sunny')
    write_table(photos / 'ids.csv', 'id,label', '1,sunny')
    found = listing(photos)
    assert found.classes == ['daisy', 'rose']
    assert found.other_files == ['ids.csv', 'weather.csv']


@pytest.mark.parametrize(
    'lines',
    [
        ['image,label', 'https://example.org/1.jpg,rose'],
        ['image,label', '../../etc/passwd,rose'],
        ['id,label,class', '0001,rose,0'],
        ['id,label', 'x' * 200_000],
    ],
)
def test_a_faulty_table_does_not_stop_class_folders(tmp_path, lines):
    photos = make_photos(tmp_path / 'p', {'daisy': 6, 'rose': 6})
    write_table(photos / 'a.csv', *lines)
    found = listing(photos)
    assert found.classes == ['daisy', 'rose']
    assert 'a.csv' in found.remarks[0]
    with pytest.raises(UserError):
        listing(photos / 'a.csv')


@pytest.mark.parametrize(
    ('photo', 'words'),
    [
        ('../secret.jpg', 'outside'),
        ('a/../../secret.jpg', 'outside'),
        ('/etc/passwd', 'outside'),
        ('C:\\photos\\1.jpg', 'outside'),
        ('..\\secret.jpg', 'outside'),
        ('https://example.org/1.jpg', 'is a URL'),
        ('s3://bucket/1.jpg', 'is a URL'),
    ],
)
def test_paths_that_lead_out(tmp_path, photo, words):
    photos = make_images(tmp_path / 'p')
    save(tmp_path / 'secret.jpg', 900)
    write_table(photos / 'labels.csv', 'path,label', *rows(), f'{photo},rose')
    with pytest.raises(UserError, match=words):
        listing(photos)


@pytest.mark.parametrize(
    'name', ['../x', 'a/b', '.', '..', '.hidden', 'x\x1b[2J', 'x' * 300]
)
def test_classes_that_are_no_folder_names(tmp_path, name):
    photos = make_images(tmp_path / 'p')
    lines = [*rows()[:-1], f'0011,{name}']
    write_table(photos / 'labels.csv', 'id,label', *lines)
    with pytest.raises(UserError, match='invalid class name'):
        listing(photos)


def test_two_spellings_of_a_class(tmp_path):
    photos = make_images(tmp_path / 'p')
    lines = [*rows()[:-1], '0011,Rose']
    write_table(photos / 'labels.csv', 'id,label', *lines)
    with pytest.raises(UserError, match='two names for one class'):
        listing(photos)


def test_photos_of_several_classes(tmp_path):
    photos = make_images(tmp_path / 'p')
    write_table(photos / 'labels.csv', 'id,label', *rows(), '0003,rose')
    found = listing(photos)
    assert list(found.left_out) == ['0003.jpg']
    write_table(
        photos / 'labels.csv', 'id,label', *rows(), '0003,rose', '0004,rose'
    )
    with pytest.raises(UserError, match='several classes'):
        listing(photos)


@pytest.mark.parametrize(
    ('lines', 'words'),
    [
        (['a,b', '1,2'], 'no column of photos: got a, b'),
        (['id,b', '1,2'], 'no column of classes'),
        (['id,label,class', '0001,0,rose'], '--label-column label'),
        (['id,label'], 'no column of photos: got none'),
        (['id,label', '7,rose'], 'no row'),
        (['id,label', f'"{"x" * 200_000}",rose'], 'cannot be read'),
        ([''], 'got none'),
    ],
)
def test_tables_that_lack_something(tmp_path, lines, words):
    table = write_table(make_images(tmp_path / 'p') / 'labels.csv', *lines)
    with pytest.raises(UserError, match=words):
        listing(table)


def test_a_spreadsheet(tmp_path, out):
    path = make_images(tmp_path / 'p') / 'labels.xlsx'
    path.write_bytes(b'PK\3\4')
    assert 'as CSV' in refused(path, '--out', out)


def test_flags_of_a_table_without_one(tmp_path):
    photos = make_photos(tmp_path / 'p', {'daisy': 2, 'rose': 2})
    with pytest.raises(UserError, match='no CSV or TSV file'):
        listing(photos, label_column='label')


def test_an_unknown_column(tmp_path):
    photos = make_images(tmp_path / 'p')
    write_table(photos / 'labels.csv', 'id,label', *rows())
    with pytest.raises(UserError, match="no column 'breed'"):
        listing(photos, label_column='breed')


def test_a_table_in_another_encoding(tmp_path):
    photos = make_images(tmp_path / 'p')
    lines = ('id,label', *rows('{},{}é'))
    write_table(photos / 'labels.csv', *lines, encoding='latin-1')
    with pytest.raises(UserError, match='Save it as CSV in UTF-8'):
        listing(photos)


def test_the_command_takes_the_columns(tmp_path, out):
    photos = make_images(tmp_path / 'p')
    write_table(photos / 'labels.csv', 'photo,breed', *rows())
    args = (photos / 'labels.csv', '--out', out)
    assert 'docs/photos.md' in refused(*args)
    assert 'no column' in refused(*args, '--path-column', 'photo')
    assert '--images' in refused(*args, '--images', 'nowhere')
