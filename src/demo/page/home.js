// The first page: which room, who, and as what.
const field = (id) => document.getElementById(id);

field('enter').addEventListener('submit', (event) => {
  event.preventDefault();
  const path = `/preview/${encodeURIComponent(field('room-id').value)}/${field('role').value}`;
  const name = field('name').value.trim();
  location.href = name ? `${path}?${new URLSearchParams({ name })}` : path;
});
