// Tables of class "sorted": a click, Enter or Space on a heading sorts by it.
// Figures of class "zoom" open large, cells of the confusion matrix open
// their photos. No <button> in a heading: Chromium leaves it out of headings
// that it repeats in print.
const activate = (element, action) => {
  element.setAttribute('role', 'button');
  element.tabIndex = 0;
  element.addEventListener('click', action);
  element.addEventListener('keydown', event => {
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      action();
    }
  });
};

const wrapped = cell => {
  const button = document.createElement('span');
  button.append(...cell.childNodes);
  cell.append(button);
  return button;
};

for (const table of document.querySelectorAll('table.sorted')) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const key = row => row.cells[column].dataset.key ??
      row.cells[column].textContent;
    activate(wrapped(head), () => {
      const isNumeric = head.classList.contains('n');
      const up = head.getAttribute('aria-sort') !== 'ascending';
      for (const other of heads) other.removeAttribute('aria-sort');
      head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
      const rows = [...body.rows].sort((a, b) => isNumeric
        ? Number(key(a)) - Number(key(b))
        : key(a).localeCompare(key(b), undefined, { numeric: true }));
      body.append(...(up ? rows : rows.reverse()));
    });
  });
}

const dialog = document.createElement('dialog');
const close = document.createElement('button');
close.textContent = '×';
close.setAttribute('aria-label', 'Close');
close.addEventListener('click', () => dialog.close());
dialog.addEventListener('click', event => {
  if (event.target === dialog) dialog.close();
});
document.body.append(dialog);
const open = (content, kind) => {
  dialog.className = kind;
  dialog.replaceChildren(close, content);
  dialog.showModal();
};

for (const figure of document.querySelectorAll('figure.zoom')) {
  for (const image of figure.querySelectorAll(':scope > :not(.near) img, :scope > img')) {
    activate(image, () => open(figure.cloneNode(true), 'large'));
  }
}
for (const cell of document.querySelectorAll('td[data-photos]')) {
  const photos = document.getElementById(cell.dataset.photos);
  activate(wrapped(cell), () => open(photos.content.cloneNode(true), 'many'));
}
