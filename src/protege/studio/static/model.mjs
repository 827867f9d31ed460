// Another model beside this one.
document.getElementById("beside")?.addEventListener("change", (event) => {
  location.search = event.target.value ? `?beside=${event.target.value}` : "";
});
