// Tables of class "sorted": a click, Enter or the space bar on a heading
// sorts by it. No <button>: Chromium leaves those out of the headings that it
// repeats on paper.
for (const table of document.querySelectorAll('table.sorted')) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement('span');
    button.setAttribute('role', 'button');
    button.tabIndex = 0;
    button.append(...head.childNodes);
    head.append(button);
    const key = row => row.cells[column].dataset.key ??
      row.cells[column].textContent;
    const sort = () => {
      const numbers = head.classList.contains('n');
      const up = head.getAttribute('aria-sort') !== 'ascending';
      for (const other of heads) other.removeAttribute('aria-sort');
      head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
      const rows = [...body.rows].sort((one, two) => numbers
        ? Number(key(one)) - Number(key(two))
        : key(one).localeCompare(key(two), undefined, { numeric: true }));
      body.append(...(up ? rows : rows.reverse()));
    };
    button.addEventListener('click', sort);
    button.addEventListener('keydown', event => {
      if (event.key === 'Enter' || event.key === ' ') {
        event.preventDefault();
        sort();
      }
    });
  });
}
